//! Linked Nodes.
