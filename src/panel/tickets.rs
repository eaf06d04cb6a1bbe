//! Which calls of this machine's API are the product's own, so that a standard hook knows them when they come round.
//!
//! A ticket is for one user, module and function, is good for each stage of the event once, and only for as long as the call can be
//! under way.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a call may be under way before its ticket is no longer believed.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// No more than this many are outstanding; a flood cannot grow without end.
const MOST: usize = 4096;

struct Issued {
    number: u64,
    user: String,
    call: String,
    until: Instant,
    pre: bool,
    post: bool,
}

/// The outstanding tickets. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tickets {
    issued: Arc<Mutex<(u64, Vec<Issued>)>>,
}

/// A call under way; when it goes out of scope its ticket is void.
pub struct Underway {
    tickets: Tickets,
    number: u64,
}

impl Drop for Underway {
    fn drop(&mut self) {
        let mut issued = self.tickets.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.1.retain(|one| one.number != self.number);
    }
}

impl Tickets {
    /// A ticket for a call that begins now and ends when what is returned is dropped.
    #[must_use]
    pub fn begin(&self, user: &str, module: &str, function: &str) -> Underway {
        Underway { tickets: self.clone(), number: self.issue(user, module, function, GOOD_FOR) }
    }

    /// A ticket for a call that begins within `good_for`.
    pub fn issue(&self, user: &str, module: &str, function: &str, good_for: Duration) -> u64 {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        issued.1.retain(|one| one.until > now);
        if issued.1.len() >= MOST {
            issued.1.remove(0);
        }
        issued.0 += 1;
        let number = issued.0;
        issued.1.push(Issued {
            number,
            user: user.to_owned(),
            call: format!("{module}::{function}"),
            until: now + good_for,
            pre: true,
            post: true,
        });
        number
    }

    /// Whether an event (`Module::function`, stage `pre` or `post`) is of a call of ours; uses the ticket up for that stage.
    pub fn redeem(&self, user: &str, call: &str, stage: &str) -> bool {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let good = |one: &&mut Issued| {
            one.until > now && one.user == user && one.call == call && if stage == "pre" { one.pre } else { one.post }
        };
        match issued.1.iter_mut().find(good) {
            Some(one) if stage == "pre" => {
                one.pre = false;
                true
            }
            Some(one) => {
                one.post = false;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_once_for_each_stage_and_only_while_the_call_lasts() {
        let tickets = Tickets::default();
        assert!(!tickets.redeem("alice", "Email::add_pop", "pre"));
        let call = tickets.begin("alice", "Email", "add_pop");
        assert!(!tickets.redeem("bob", "Email::add_pop", "pre") && !tickets.redeem("alice", "Email::delete_pop", "pre"));
        assert!(tickets.redeem("alice", "Email::add_pop", "pre"));
        assert!(!tickets.redeem("alice", "Email::add_pop", "pre"));
        assert!(tickets.redeem("alice", "Email::add_pop", "post"));
        drop(call);
        let call = tickets.begin("alice", "Email", "add_pop");
        drop(call);
        assert!(!tickets.redeem("alice", "Email::add_pop", "post"));
    }

    #[test]
    fn a_ticket_ends_by_itself() {
        let tickets = Tickets::default();
        tickets.issue("alice", "Email", "add_pop", Duration::ZERO);
        assert!(!tickets.redeem("alice", "Email::add_pop", "pre"));
    }
}
