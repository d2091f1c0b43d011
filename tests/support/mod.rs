//! What several test binaries share; each uses what it needs.
#![allow(dead_code, reason = "no binary uses all of it")]

pub mod memory;
pub mod relay;
pub mod wait;
