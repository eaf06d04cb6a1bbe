//! What may be and what follows: pure decisions. No I/O, no async, no clock.

pub mod dns;
pub mod extension;
pub mod halves;
pub mod intents;
pub mod names;
pub mod nodes;
pub mod pipes;
pub mod placement;
pub mod plan;
pub mod profile;
pub mod queue;
pub mod verdict;
