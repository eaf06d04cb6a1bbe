//! Whole passes over real directories.
