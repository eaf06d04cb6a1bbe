//! Which calls on this server are our own: noted before they are made, so that the hooks they fire are not taken for a customer's.
//!
//! cPanel runs a call's hooks while the call is under way and waits for them. So a note lives exactly as long as its call, and a
//! customer's call of the same function for the same account in those moments is told apart by the number of notes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// (user, module, function)
type Call = (String, String, String);

/// What is under way: for each call, how many of our own have not been asked about.
type Open = Arc<Mutex<BTreeMap<Call, Vec<u64>>>>;

/// The notes. Cheap to clone.
#[derive(Clone, Default)]
pub struct Notes {
    open: Open,
    next: Arc<std::sync::atomic::AtomicU64>,
}

/// One note; it goes when this is dropped.
pub struct Note {
    open: Open,
    call: Call,
    id: u64,
}

impl Notes {
    /// Notes that a call of our own is about to be made. Keep what this returns until the call has been answered.
    #[must_use]
    pub fn write(&self, user: &str, module: &str, function: &str) -> Note {
        let id = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let call = (user.to_owned(), module.to_owned(), function.to_owned());
        self.open.lock().unwrap_or_else(PoisonError::into_inner).entry(call.clone()).or_default().push(id);
        Note { open: self.open.clone(), call, id }
    }

    /// Whether a call that a hook tells of is our own. Says yes once for each note.
    pub fn take(&self, user: &str, module: &str, function: &str) -> bool {
        let call = (user.to_owned(), module.to_owned(), function.to_owned());
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&call).is_some_and(|ids| ids.pop().is_some())
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ids) = open.get_mut(&self.call) {
            ids.retain(|id| *id != self.id);
            if ids.is_empty() {
                open.remove(&self.call);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_answers_once_and_goes_with_its_call() {
        let notes = Notes::default();
        let note = notes.write("ada", "Email", "add_pop");
        assert!(!notes.take("ada", "Email", "delete_pop"));
        assert!(!notes.take("bob", "Email", "add_pop"));
        assert!(notes.take("ada", "Email", "add_pop"));
        assert!(!notes.take("ada", "Email", "add_pop"), "another's call at the same time is not ours");
        drop(note);
        let note = notes.write("ada", "Email", "add_pop");
        drop(note);
        assert!(!notes.take("ada", "Email", "add_pop"));
        assert!(notes.open.lock().unwrap().is_empty());
    }
}
