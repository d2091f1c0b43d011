//! Many clients at one key, their commands in any order, some twice (K2, K3).

use super::*;
use crate::layers::kv::tests::model::Random;

/// The commands of clients 1, 2, ... in some order, each up to three times.
fn shuffled(random: &mut Random, commands: impl Iterator<Item = Cmd>) -> Vec<Request> {
    let mut requests = Vec::new();
    for (client, cmd) in (1..).zip(commands) {
        let request = Request {
            client,
            seq: 1,
            ack_below: 1,
            cmd,
        };
        requests.extend(std::iter::repeat_n(request, 1 + random.below(3)));
    }
    for at in (1..requests.len()).rev() {
        requests.swap(at, random.below(at + 1));
    }
    requests
}

fn value(client: u128) -> Bytes {
    format!("client {client}").into()
}

#[test]
fn k2_of_a_hundred_that_swap_one_wins() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut log = Log::new();
        log.answer(put("a", "before"));
        let before = log.at.index;
        for client in 1..=100 {
            log.run_bare(Cmd::SessionOpen { client });
        }
        let expect = [Expect::Rev(before), Expect::Value("before".into())][random.below(2)].clone();
        let swap = |client| Cmd::Cas {
            key: "a".into(),
            expect: expect.clone(),
            value: Some(value(client)),
            lease: None,
        };
        let mut winners = std::collections::BTreeSet::new();
        for request in shuffled(&mut random, (1..=100).map(swap)) {
            match log.request(&request).answer {
                Answer::Written { .. } => {
                    winners.insert(request.client);
                }
                Answer::NotExpected {
                    current: Some(current),
                } => {
                    let winner = winners
                        .first()
                        .copied()
                        .expect("who was not expected was late");
                    assert_eq!(current.value, value(winner), "seed {seed}");
                }
                other => panic!("seed {seed}: {other:?}"),
            }
        }
        assert_eq!(winners.len(), 1, "seed {seed}");
        assert_eq!(
            log.value(b"a"),
            winners.first().copied().map(value),
            "seed {seed}"
        );
    }
}

/// A register that is written once, as one would define it: the first value stays; a write of another fails.
#[derive(Default)]
struct WriteOnceRegister(Option<Bytes>);

impl WriteOnceRegister {
    fn write(&mut self, value: Bytes) -> Result<(), Bytes> {
        match &self.0 {
            Some(first) if *first != value => Err(first.clone()),
            _ => {
                self.0 = Some(value);
                Ok(())
            }
        }
    }

    fn read(&self) -> Option<Bytes> {
        self.0.clone()
    }
}

#[test]
fn k3_a_write_once_register_is_what_its_definition_says() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let mut log = Log::new();
        let mut spec = WriteOnceRegister::default();
        for client in 1..=20 {
            log.run_bare(Cmd::SessionOpen { client });
        }
        let values: Vec<Bytes> = (0..20)
            .map(|_| value(u128::try_from(random.below(4)).expect("small")))
            .collect();
        let writes = values.iter().map(|value| Cmd::WriteOnce {
            key: "r".into(),
            value: value.clone(),
        });
        for request in shuffled(&mut random, writes) {
            let Cmd::WriteOnce { value, .. } = &request.cmd else {
                unreachable!()
            };
            let ours = match log.request(&request).answer {
                Answer::Written { .. } => Ok(()),
                Answer::Already(first) if first.value == *value => Ok(()),
                Answer::Already(first) => Err(first.value),
                other => panic!("seed {seed}: {other:?}"),
            };
            assert_eq!(ours, spec.write(value.clone()), "seed {seed}");
            assert_eq!(log.value(b"r"), spec.read(), "seed {seed}");
            // What others try in between changes nothing.
            log.answer(
                [put("r", "x"), delete("r"), cas("r", Expect::Exists, None)][random.below(3)]
                    .clone(),
            );
        }
    }
}
