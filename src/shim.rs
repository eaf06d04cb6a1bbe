//! The HTTP front on the WHM, cPanel and webmail ports.

pub mod envelope;
pub mod guard;
pub mod normalise;
pub mod params;
pub mod xml;
