//! Linked Nodes.

pub mod error;
pub mod wire;
