//! Running programs to their end, or as children that live as long as the lab.

pub mod child;
pub mod command;
pub mod detached;
pub mod guard;
pub mod leftover;
pub mod log;
mod spawner;
