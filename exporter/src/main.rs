//! The binary only wires.
fn main() {}
