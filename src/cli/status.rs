//! `status`: what this server is among linked nodes.

use super::exit::Outcome;
use super::table::Card;
use super::{ask, output};
use crate::wire::{AdminCall, Role, Status};

/// Prints this server's role and numbers.
///
/// # Errors
/// As [`ask::serve`].
pub fn run(json: bool) -> Outcome {
    let mut status: Status = ask::serve(&AdminCall::Status)?;
    if json {
        if let Role::Child { token_digest, .. } = &mut status.role {
            // Good for nothing but comparing; still nobody's business.
            token_digest.clear();
        }
        return output::json(&status);
    }
    let mut card = Card::new(&format!("linked-nodes {}", status.version));
    card.field("role", &role(&status.role));
    card.field("children", &status.nodes.to_string());
    card.field("distributed accounts", &status.distributed.to_string());
    card.field("moves running", &status.moves_running.to_string());
    output::data(&card.render(output::width()))
}

/// A role in words.
pub fn role(role: &Role) -> String {
    match role {
        Role::Unlinked => "not linked to any node".to_owned(),
        Role::Parent => "parent".to_owned(),
        Role::Child { parent, .. } => format!("child of {parent}"),
    }
}
