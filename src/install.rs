//! Putting the product in place on a cPanel server and taking it off again.
//!
//! [`plan::plan`] is a pure function from what the machine is to a list of [`plan::Item`]s; `--dry-run` shows it. [`apply`] brings the
//! machine to the plan, item by item, and touches nothing that is as planned already: a second install changes nothing, an
//! interrupted one is continued by running it again. Before anything is changed, the [`manifest`] records what was there, on disk;
//! [`walk_back`] undoes it, last change first, to the byte, and leaves what a person has changed since.
//!
//! Everything goes through a [`host::Host`]: a root directory and the tools of the machine, so that tests work in a scratch folder.

pub mod apply;
pub mod doctor;
pub mod files;
pub mod hooked;
pub mod host;
pub mod layout;
pub mod look;
pub mod manifest;
pub mod page;
pub mod plan;
pub mod redirect;
pub mod services;
pub mod supervise;
pub mod user;
pub mod walk_back;
