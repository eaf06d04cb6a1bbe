//! The stand-in for cpsrvd: cPanel on 2083, WHM on 2087, webmail on 2096; 2082, 2086 and 2095 lead there.
//!
//! ```text
//! server     listeners, TLS by name, HTTP
//! route      which path is which function
//! auth, session, path, body     who calls, what is asked
//! whm        WHM API 1: the functions, one table      legacy   WHM API 0
//! cpapi      API 1, API 2 and UAPI through one door
//! envelope, meta, reply     what replies look like
//! shell      WHM in a browser: menu, forms, plugins      cgi, docroot   programs and files of plugins
//! pages, webmail     the few pages beside
//! command    `whmapi1` and `cpanel` on the command line
//! ```

mod auth;
mod body;
mod cgi;
pub mod command;
mod cpapi;
mod docroot;
mod envelope;
mod legacy;
mod meta;
mod pages;
pub mod path;
mod reply;
mod route;
mod server;
pub mod session;
mod shell;
mod webmail;
pub(crate) mod whm;

pub use server::run;
