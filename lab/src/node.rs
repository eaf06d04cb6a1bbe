//! Nodes: machines of the lab, each an overlay of this machine's root in namespaces of its own.
//!
//! ```text
//! cli ─ up ─┬─ check      what this machine lacks, said plainly
//!           ├─ layout     names, addresses, the lab's folder
//!           ├─ authority  the lab's private certificate authority
//!           ├─ net        network namespaces and the bridge between them
//!           ├─ boot       starts a node:  setsid, nsenter, unshare, `lab init NODE`
//!           │    └─ init  process 1 of a node: root → furnish → daemons, then watches them
//!           └─ ready      waits until ports answer and names resolve
//! down       ends everything and proves that nothing is left
//! enter      exec, shell, resolve, logs
//! services   what the stand-in asks of the running daemons
//! ```
//!
//! A node's process 1 owns a process namespace: when it ends the kernel ends everything in the node, and with the last process
//! go its mounts. That is why `down` is certain.

pub mod authority;
pub mod boot;
pub mod check;
pub mod cli;
pub mod daemons;
pub mod down;
pub mod enter;
pub mod error;
pub mod furnish;
pub mod init;
pub mod layout;
pub mod net;
pub mod packages;
pub mod ready;
pub mod root;
pub mod services;
pub mod sni;
pub mod up;
pub mod users;
