//! Linked Nodes.

pub mod agent;
pub mod authority;
pub mod child;
pub mod error;
pub mod host;
pub mod mailbox;
pub mod moves;
pub mod panel;
pub mod rules;
pub mod secrets;
pub mod serve;
pub mod shim;
pub mod store;
pub mod wire;
