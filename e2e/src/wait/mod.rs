//! Waiting: every wait has a deadline and ends on an interrupt.

pub mod interrupt;
pub mod lock;
pub mod poll;
