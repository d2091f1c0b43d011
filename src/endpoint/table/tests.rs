use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn table() -> Table {
    Table::new(&Keyed::new([9; 16]))
}

fn id(bits: u64) -> ConnectionId {
    ConnectionId::new(bits).expect("not 0")
}

fn entry(cid: u64) -> Entry {
    Entry {
        cid: id(cid),
        peer: None,
        remote: "192.0.2.1:1000".parse().expect("an address"),
        token: 0,
        is_passive: false,
    }
}

#[derive(Clone, Debug)]
enum Op {
    Insert {
        cid: u64,
        peer: Option<u64>,
        token: u64,
    },
    /// Of the handles that were ever given out.
    SetPeer {
        handle: prop::sample::Index,
        peer: u64,
    },
    Remove {
        handle: prop::sample::Index,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let insert = (1..40_u64, prop::option::of(1..10_u64), 0..5_u64)
        .prop_map(|(cid, peer, token)| Op::Insert { cid, peer, token });
    let set_peer = (any::<prop::sample::Index>(), 1..10_u64)
        .prop_map(|(handle, peer)| Op::SetPeer { handle, peer });
    let remove = any::<prop::sample::Index>().prop_map(|handle| Op::Remove { handle });
    vec(prop_oneof![insert, set_peer, remove], 0..120)
}

/// The naive twin: a list of what is live, in the order in which ids and peers were claimed.
#[derive(Default)]
struct Model {
    live: Vec<(Handle, u64, u64)>,
    /// Who claimed a peer's id, earliest first.
    peers: Vec<(Handle, u64)>,
}

impl Model {
    fn is_live(&self, handle: Handle) -> bool {
        self.live.iter().any(|live| live.0 == handle)
    }

    fn claim(&mut self, handle: Handle, peer: u64) {
        if self.peers.contains(&(handle, peer)) {
            return;
        }
        self.peers.retain(|claim| claim.0 != handle);
        // The earlier keeps it; who comes later does not get it when the earlier leaves.
        let is_free = self.peers.iter().all(|claim| claim.1 != peer);
        if is_free {
            self.peers.push((handle, peer));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn finds_what_a_list_finds(ops in ops()) {
        let mut table = table();
        let mut model = Model::default();
        let mut given: Vec<Handle> = Vec::new();
        for op in ops {
            match op {
                Op::Insert { cid, peer, token } => {
                    let is_taken = |live: &(Handle, u64, u64)| live.1 == cid || (token != 0 && live.2 == token);
                    if model.live.iter().any(is_taken) {
                        continue;
                    }
                    let handle = table.insert(Entry { peer: peer.map(id), token, ..entry(cid) });
                    prop_assert!(!given.contains(&handle), "a handle is given once");
                    given.push(handle);
                    model.live.push((handle, cid, token));
                    if let Some(peer) = peer {
                        model.claim(handle, peer);
                    }
                }
                Op::SetPeer { handle, peer } if !given.is_empty() => {
                    let handle = *handle.get(&given);
                    table.set_peer(handle, id(peer));
                    if model.is_live(handle) && table.get(handle).is_some() {
                        model.claim(handle, peer);
                    }
                }
                Op::Remove { handle } if !given.is_empty() => {
                    let handle = *handle.get(&given);
                    prop_assert_eq!(table.remove(handle).is_some(), model.is_live(handle));
                    model.live.retain(|live| live.0 != handle);
                    model.peers.retain(|claim| claim.0 != handle);
                }
                _ => {}
            }
            prop_assert_eq!(table.len(), model.live.len());
            for bits in 1..40 {
                let live = model.live.iter().find(|live| live.1 == bits).map(|live| live.0);
                prop_assert_eq!(table.find(id(bits)), live);
            }
            for bits in 1..10 {
                let claim = model.peers.iter().find(|claim| claim.1 == bits).map(|claim| claim.0);
                prop_assert_eq!(table.find_by_peer(id(bits)), claim);
            }
            for token in 1..5 {
                let live = model.live.iter().find(|live| live.2 == token).map(|live| live.0);
                prop_assert_eq!(table.find_by_token(token), live);
            }
            for handle in &given {
                prop_assert_eq!(table.get(*handle).is_some(), model.is_live(*handle));
            }
        }
    }
}

#[test]
fn a_slot_that_has_used_up_its_generations_is_left_alone() {
    let mut table = table();
    let first = table.insert(entry(1));
    table.remove(first);
    table.slots[0].generation = u32::MAX;
    let last = table.insert(entry(2));
    assert_eq!((last.index, last.generation), (0, u32::MAX));
    table.remove(last);
    let next = table.insert(entry(3));
    assert_eq!((next.index, next.generation), (1, 0));
    assert!(table.get(last).is_none() && table.find(id(2)).is_none());
}

/// ids that look alike do not share a place.
#[test]
fn ids_with_equal_low_bits_spread() {
    let keyed = Keyed::new([9; 16]);
    let mut buckets = vec![0_u32; 1 << 12];
    for high in 0..1_u64 << 16 {
        let hash = keyed.hash_one(id((high << 48) | 1));
        buckets[usize::try_from(hash & 0xfff).expect("small")] += 1;
    }
    // 16 each on average; with chance alone more than 45 does not happen.
    assert!(
        buckets.iter().all(|count| *count < 45),
        "{:?}",
        buckets.iter().max()
    );
}

#[test]
fn the_maps_shrink_again() {
    let mut table = table();
    let handles: Vec<Handle> = (1..=100_000).map(|cid| table.insert(entry(cid))).collect();
    for handle in handles {
        table.set_peer(handle, id(u64::from(handle.index) + 1));
        table.remove(handle);
    }
    let maps = table.by_cid.capacity() + table.by_peer.capacity();
    assert!(maps < 500, "{maps}");
}
