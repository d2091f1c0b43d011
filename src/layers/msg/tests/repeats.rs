//! Calls that are repeated: each effect once.

use std::collections::BTreeMap;

use super::*;

fn key(client: u128, seq: u64, ack_below: u64) -> IdemKey {
    IdemKey {
        client,
        seq,
        ack_below,
    }
}

#[test]
fn answers_are_kept_until_they_are_acknowledged() {
    let mut table = DedupTable::default();
    table.open(1);
    for seq in 1..=5 {
        assert_eq!(table.begin(&key(1, seq, 1)), Seen::New);
        assert_eq!(table.begin(&key(1, seq, 1)), Seen::Running);
        table.finish(&key(1, seq, 1), vec![u8::try_from(seq).expect("small")]);
    }
    assert_eq!(table.begin(&key(1, 2, 1)), Seen::Done(vec![2].into()));
    assert_eq!(table.begin(&key(1, 6, 4)), Seen::New);
    assert_eq!(table.begin(&key(1, 3, 1)), Seen::Stale);
    assert_eq!(table.begin(&key(1, 4, 1)), Seen::Done(vec![4].into()));
    table.abort(&key(1, 6, 4));
    assert_eq!(table.begin(&key(1, 6, 4)), Seen::New);
}

#[test]
fn nobody_is_forgotten_for_lack_of_room() {
    let mut table = DedupTable::new(DedupLimits {
        clients: 2,
        answers: 3,
        bytes: 100,
    });
    assert!(table.open(1) && table.open(2) && !table.open(3) && table.open(1));
    assert_eq!(table.begin(&key(3, 1, 1)), Seen::Expired);
    for seq in 1..=3 {
        assert_eq!(table.begin(&key(1, seq, 1)), Seen::New);
        table.finish(&key(1, seq, 1), vec![0; 10]);
    }
    assert_eq!(table.begin(&key(1, 4, 1)), Seen::Full);
    assert_eq!(table.begin(&key(1, 4, 2)), Seen::New);
    assert_eq!(table.begin(&key(2, 1, 1)), Seen::New);
    table.finish(&key(2, 1, 1), vec![0; 100]);
    assert_eq!(table.begin(&key(2, 2, 1)), Seen::Full, "of bytes");
    table.expire(2);
    assert_eq!(table.begin(&key(2, 1, 1)), Seen::Expired);
    assert!(table.open(3));
}

/// A server with an effect, its table beside it, and the state that survives it.
#[derive(Default)]
struct Store {
    table: DedupTable,
    effects: BTreeMap<(u128, u64), u32>,
}

impl Store {
    /// Executes a call, unless it was; the answer, if there is one.
    fn call(&mut self, key: &IdemKey) -> Option<Bytes> {
        match self.table.begin(key) {
            Seen::New => {
                *self.effects.entry((key.client, key.seq)).or_insert(0) += 1;
                let answer = key.seq.to_be_bytes().to_vec();
                self.table.finish(key, answer.clone());
                Some(answer.into())
            }
            Seen::Done(answer) => Some(answer),
            Seen::Running | Seen::Stale | Seen::Full => None,
            Seen::Expired => panic!("it was opened"),
        }
    }

    /// Dies and comes back from what it had written down.
    fn restart(&mut self) {
        let bytes = Postcard.encode(&self.table).expect("it can be written");
        self.table = Postcard.decode(&bytes).expect("as it was written");
    }
}

/// Every call is sent again and again, overtaken, cut off, and across restarts of the server.
#[test]
fn m6_a_storm_of_repetitions_has_each_effect_once_across_restarts() {
    for seed in 0..20 {
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let mut store = Store::default();
        let clients = 5_u128;
        (0..clients).for_each(|client| assert!(store.table.open(client)));
        let mut next = [1_u64; 5];
        let mut open: Vec<BTreeMap<u64, bool>> = vec![BTreeMap::new(); 5];
        for _ in 0..5_000 {
            let who = dice.below(5);
            if open[who].len() < 20 && dice.below(2) == 0 {
                open[who].insert(next[who], false);
                next[who] += 1;
            }
            if open[who].is_empty() {
                continue;
            }
            let at = dice.below(open[who].len());
            let seq = *open[who].keys().nth(at).expect("it is there");
            let ack_below = *open[who].keys().next().expect("not empty");
            let key = key(u128::try_from(who).expect("small"), seq, ack_below);
            let answer = store.call(&key).expect("answers that are awaited are kept");
            assert_eq!(&answer[..], seq.to_be_bytes());
            // Half of the answers are lost on the way.
            if dice.below(2) == 0 {
                open[who].remove(&seq);
            }
            if dice.below(100) == 0 {
                store.restart();
            }
        }
        assert!(store.effects.len() > 1_000);
        assert!(
            store.effects.values().all(|times| *times == 1),
            "an effect twice"
        );
    }
}
