//! Tests that drive the real binary in real nodes.
