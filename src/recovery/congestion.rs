//! Congestion control: the interface and the algorithms.

mod new_reno;
