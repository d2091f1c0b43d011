//! Raft between nodes that talk over aqueduct: what [openraft](https://docs.rs/openraft/0.9) asks of its user, but the state machine.
//!
//! openraft is the consensus; this module gives it a place to write and somebody to talk to, for any type configuration:
//!
//! | part | is |
//! |---|---|
//! | [`RedbLog`] | the log, the vote and the committed index on disk, in one file of redb: group commit, checksums, and a refusal to start on damage |
//! | [`RaftNet`] | the network: three connections to each peer over one UDP socket, deadlines, snapshots as streams, and the truth about failures |
//! | [`RaftService`], [`RaftServer`] | the other side of that |
//! | [`RaftProfile`] | the times, for a machine room, a long path, or what was measured |
//! | [`QuorumGuard`] | a leader that no quorum answers falls silent, so that others can elect one (in [`RaftNet`] already) |
//! | [`ReadBatcher`] | linearizable reads that ask the quorum together |
//! | [`PeerIdentity`] | the cluster and the node that a file, or a connection, belongs to |
//!
//! The crate never enables openraft's features `generic-snapshot-data` and `single-term-leader`, which change it for a whole build;
//! it works in a build whose user does. openraft's `singlethreaded` is not supported: a log is written by a thread.

#![expect(
    clippy::result_large_err,
    reason = "the errors are openraft's, and their size is its choice"
)]

mod guard;
mod identity;
mod log;
mod net;
mod profile;
mod reads;
mod server;
mod wire;

pub use guard::QuorumGuard;
pub use identity::PeerIdentity;
pub use log::{LogConfig, OpenError, Place, RedbLog};
pub use net::{ClassHealth, NodeAddr, PeerHealth, RaftNet, RaftNetBuilder, RaftPeer};
pub use profile::RaftProfile;
pub use reads::{ReadBatcher, ReadError};
pub use server::{RaftServer, RaftService};
pub use wire::{APPEND, Fault, FaultKind, INSTALL_CHUNK, SNAPSHOT, VOTE, wire_version};
