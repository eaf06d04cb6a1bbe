//! Linked Nodes.

pub mod error;
pub mod mailbox;
pub mod rules;
pub mod shim;
pub mod wire;
