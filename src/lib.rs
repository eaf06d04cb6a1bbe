//! Linked Nodes.

pub mod error;
pub mod rules;
pub mod shim;
pub mod wire;
