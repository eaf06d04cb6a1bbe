//! The `linked-nodes` program.
fn main() {}
