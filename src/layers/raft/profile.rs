//! [`RaftProfile`]: how often leaders speak, and how long followers wait, for a path of a certain round trip.

use std::time::Duration;

use openraft::{Config, ConfigError};

/// The least heartbeat interval that is made of measurements: below it, a scheduler's moods look like deaths.
const HEARTBEAT_MIN: Duration = Duration::from_millis(50);
/// A disk that nobody has measured takes so long to sync.
const FSYNC: Duration = Duration::from_millis(10);
/// The least time for a snapshot to be installed.
const INSTALL_MIN: Duration = Duration::from_secs(10);

/// The times of a cluster. All nodes of it should have the same.
///
/// openraft 0.9 gives an `AppendEntries` one heartbeat interval, so an interval shorter than a round trip and an `fsync` replicates
/// nothing. A follower asks for votes when it has heard nothing for `election_max` and a random time between `election_min` and
/// `election_max` more, and looks at that every 1.5 intervals.
///
/// ```
/// use aqueduct::raft::RaftProfile;
/// use std::time::Duration;
///
/// let profile = RaftProfile::wan(Duration::from_millis(100));
/// assert_eq!(profile.heartbeat, Duration::from_millis(210));
/// assert_eq!(profile.election_max, Duration::from_millis(2_100));
/// let config = profile.config("orders")?;
/// assert_eq!(config.heartbeat_interval, 210);
/// # Ok::<(), openraft::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RaftProfile {
    /// Between two heartbeats, and for an `AppendEntries`.
    pub heartbeat: Duration,
    /// The least random part of a follower's patience.
    pub election_min: Duration,
    /// The most of it; also the lease, in which a follower votes for nobody else.
    pub election_max: Duration,
    /// For a snapshot to be installed, once it is there.
    pub install: Duration,
    /// Entries in one `AppendEntries`, at most. More than fit the byte budget are never sent.
    pub payload_entries: u64,
}

impl RaftProfile {
    /// One machine room: 50 ms, 150 to 300 ms. A leader that dies is replaced within 450 to 675 ms.
    pub fn lan() -> Self {
        RaftProfile::with_heartbeat(HEARTBEAT_MIN, 3, 6)
    }

    /// One quiet machine room with quick disks: 20 ms, 60 to 100 ms. What delays a node by a tenth of a second costs an election.
    pub fn fast() -> Self {
        let heartbeat = Duration::from_millis(20);
        RaftProfile::with_heartbeat(heartbeat, 3, 5)
    }

    /// A path of this round trip, and a disk of 10 ms.
    pub fn wan(rtt: Duration) -> Self {
        RaftProfile::from_measured(rtt, FSYNC)
    }

    /// A path and a disk as they were measured: the 99th percentiles of the round trip ([`crate::Info::srtt`] is close to its middle)
    /// and of a commit ([`RedbLog::commit_p99`](super::RedbLog::commit_p99)). The heartbeat is two round trips and a commit, elections
    /// five to ten heartbeats.
    pub fn from_measured(rtt_p99: Duration, fsync_p99: Duration) -> Self {
        let heartbeat = (rtt_p99 * 2 + fsync_p99).max(HEARTBEAT_MIN);
        RaftProfile::with_heartbeat(heartbeat, 5, 10)
    }

    fn with_heartbeat(heartbeat: Duration, min: u32, max: u32) -> Self {
        RaftProfile {
            heartbeat,
            election_min: heartbeat * min,
            election_max: heartbeat * max,
            install: INSTALL_MIN.max(heartbeat * 50),
            payload_entries: 1_024,
        }
    }

    /// openraft's configuration of a cluster of this name.
    ///
    /// # Errors
    /// openraft's, if the times contradict each other.
    pub fn config(&self, cluster_name: &str) -> Result<Config, ConfigError> {
        let config = Config {
            cluster_name: cluster_name.to_owned(),
            heartbeat_interval: millis(self.heartbeat),
            election_timeout_min: millis(self.election_min),
            election_timeout_max: millis(self.election_max),
            install_snapshot_timeout: millis(self.install),
            max_payload_entries: self.payload_entries,
            ..Config::default()
        };
        config.validate()
    }
}

/// Whole milliseconds, at least one.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::RaftProfile;

    #[test]
    fn every_profile_is_one_that_openraft_takes() {
        let measured = [0, 1, 30, 500, 5_000].map(Duration::from_millis);
        let wan = measured.map(RaftProfile::wan);
        for profile in [RaftProfile::lan(), RaftProfile::fast()].iter().chain(&wan) {
            let config = profile.config("c").expect("valid");
            assert!(
                config.heartbeat_interval * 2 < config.election_timeout_min,
                "{profile:?}"
            );
            assert!(config.install_snapshot_timeout >= 10_000);
        }
    }

    #[test]
    fn an_append_has_time_for_a_round_trip_and_a_commit() {
        for (rtt, fsync) in [(0, 0), (1, 80), (50, 10), (300, 40)] {
            let (rtt, fsync) = (Duration::from_millis(rtt), Duration::from_millis(fsync));
            let profile = RaftProfile::from_measured(rtt, fsync);
            assert!(
                profile.heartbeat * 3 / 4 >= rtt + fsync * 3 / 4,
                "{profile:?}"
            );
            assert!(profile.heartbeat >= Duration::from_millis(50));
            assert_eq!(profile.election_min, profile.heartbeat * 5);
            assert_eq!(profile.election_max, profile.heartbeat * 10);
        }
    }
}
