//! What several test binaries share; each uses what it needs.
#![allow(dead_code, reason = "no binary uses all of it")]

pub(crate) mod memory;
pub(crate) mod random;
pub(crate) mod relay;
pub(crate) mod wait;
