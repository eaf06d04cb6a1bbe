//! Linked Nodes joins several cPanel & WHM servers.
//!
//! The **parent** stays the authority: people sign in there, APIs are called there. **Children** serve the mail of the accounts given
//! to them. cPanel is used only through its public interfaces and on-disk places, so the product runs on ordinary servers.
//!
//! # One binary, its roles
//!
//! | role | runs as | job |
//! |---|---|---|
//! | `linked-nodes serve` | root | the authority: store, tokens, links, moves; two unix sockets |
//! | `linked-nodes shim` | user `linkednodes` | HTTP front on the cPanel ports: parses what the internet sends, holds no token of any node |
//! | `linked-nodes cgi` | root, started by cpsrvd | the pages in WHM: one request in, one page out |
//! | `linked-nodes hook` | root, started by cPanel | standard hooks: JSON in, one line out, within two seconds |
//! | every other word | root, at a terminal | the command line, through the administrators' socket |
//!
//! Root never parses HTTP from the network; the shim never holds what would make it root on a child.
//!
//! # Code map
//!
//! Imports point down this list only; `tests/layers.rs` proves it.
//!
//! ```text
//! cli        the command line: words, tables, progress, exit codes
//! install    what is put on a server, from a plan, with a manifest that walks it back
//! ui         the pages in WHM: a CGI program, one request in, one page out
//! hooks      what cPanel's events are told
//! shim       the HTTP front: who calls, what is asked, who answers
//! serve      the authority at work: sockets, links, API functions of ours, events, health
//! moves      the mover: plan, steps, cutover, undo
//! halves     the two halves of an account: the child's is brought to the parent's
//! agent      the node channel as the child serves it
//! authority  the means of serve and moves: store, tokens, this server's API, the way to each child
//! child      a child as its parent reaches it
//! host       what is done on a machine beside cPanel's API: gate, sessions, queue, hashes
//! panel      cPanel's API, here or on a child; zones; whom TLS believes
//! roster     the accounts of this server, searched and sorted in memory
//! mailbox    the mailbox engine: safe opens, passes, verification, both ends of the copy
//! store      what is remembered (SQLite)      secrets    tokens      settings    what an administrator may set
//! drill      crash drills: ends of serve between any two lines
//! wire       what the roles say to each other
//! rules      what may be and what follows: pure, no I/O, no async, no clock
//! error      one error type for all
//! ```
//!
//! # Invariants
//!
//! * **One authority.** Where an account's mail lives is one row in the parent's store, changed in one transaction
//!   ([`store::Store::switch`], by force [`store::Store::give_up_child`]). Routing, names and proxies follow it and are repaired from it; nothing infers it from them.
//! * **One node delivers.** At any moment at most one node delivers into an account's mailboxes; see [`moves`] for the argument.
//! * **Durable before removed.** The former copy goes only after every message was compared on both sides and the switch is on disk.
//! * **A token is never seen again.** Tokens live in one file for root; the store, logs, lists and the shim have digests at most.
//! * **Homes are hostile.** Below a customer's home root opens one name at a time, from a directory it holds, never through a link.
//! * **Not deciding is not breaking.** A call the product has no opinion on passes through the shim as it came, also without `serve`.
//! * What is deliberately absent: text of errors is never matched on; no global state; no call is repeated that may have happened,
//!   unless it is idempotent.
//!
//! # Three walkthroughs
//!
//! **An account is distributed.** `linked-nodes account distribute alice mail1` sends [`wire::AdminCall::AccountMove`]. [`moves::Engine::start`]
//! gathers facts on both servers, asks [`rules::plan::refusals`], records the move, and drives it: the account and its settings are made
//! on the child through cPanel's own API ([`panel::Panel`]); messages are copied while in use ([`mailbox::pass`]) over the node channel
//! ([`child::Child::mailbox`] to [`agent::serve`]); then the hold: the child's gate closes, the parent routes to it, sessions end, the fence
//! goes up; the last pass, [`mailbox::verify`], the switch; the gate opens, DNS follows, the parent's messages go.
//!
//! **A call is proxied.** A cPanel user asks the parent for `Email::list_pops`. The packet is redirected to the shim, which normalises
//! the request ([`shim::normalise`]), proves the caller by asking cpsrvd with the caller's own credentials, finds the account in its
//! [`wire::Routing`] and the verdict `child` in [`rules::verdict`], and asks `serve` ([`wire::ShimCall::Uapi`]), which calls the child
//! with the link's token. The answer goes back in the envelope the caller asked in.
//!
//! **A call is refused.** The same call made on the child meets the shim there. Its role is child, the function is cPanel's, the token is
//! not the link's: [`shim::guard`] answers in the caller's envelope with the parent's hostname, and cpsrvd never sees it.

pub mod agent;
pub mod authority;
pub mod child;
pub mod cli;
pub mod drill;
pub mod error;
pub mod halves;
pub mod hooks;
pub mod host;
pub mod install;
pub mod mailbox;
pub mod moves;
pub mod panel;
pub mod roster;
pub mod rules;
pub mod secrets;
pub mod serve;
pub mod settings;
pub mod shim;
pub mod store;
pub mod ui;
pub mod wire;
