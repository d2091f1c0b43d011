//! Faults: models of loss, kinds of damage, and the fate that a filter gives to a datagram.

use std::net::SocketAddr;
use std::time::Duration;

use crate::time::Time;
use crate::wire::{self, Ecn, Packet};

use super::{HostId, Rng};

/// Which datagrams a link loses.
#[derive(Clone, Debug, PartialEq)]
pub enum Loss {
    /// None.
    None,
    /// Each with the same probability (Bernoulli).
    Random(f64),
    /// Loss in bursts (Gilbert-Elliott): a link that is now good, now bad, and looks at every datagram.
    Bursts {
        /// Probability that a good link turns bad before a datagram.
        to_bad: f64,
        /// Probability that a bad link turns good before a datagram; 1 / the mean length of a bad time.
        to_good: f64,
        /// Probability of loss while good.
        loss_in_good: f64,
        /// Probability of loss while bad.
        loss_in_bad: f64,
    },
    /// Those with these numbers, counted from 0 for each direction.
    Numbered(Vec<u64>),
    /// Every datagram whose number, counted from 1, divides by this.
    EveryNth(u64),
}

impl Loss {
    /// Each datagram is lost with this probability.
    pub fn random(probability: f64) -> Self {
        Loss::Random(probability)
    }

    /// Bursts of this mean length (datagrams), in which all is lost, so that `mean` of all is lost.
    pub fn bursts(mean: f64, length: f64) -> Self {
        let to_good = 1.0 / length.max(1.0);
        let to_bad = to_good * mean / (1.0 - mean).max(f64::EPSILON);
        Loss::Bursts {
            to_bad: to_bad.min(1.0),
            to_good,
            loss_in_good: 0.0,
            loss_in_bad: 1.0,
        }
    }

    /// The share of datagrams that is lost in the long run; `None` for those that name datagrams.
    pub fn mean(&self) -> Option<f64> {
        match *self {
            Loss::None => Some(0.0),
            Loss::Random(probability) => Some(probability),
            Loss::Bursts {
                to_bad,
                to_good,
                loss_in_good,
                loss_in_bad,
            } => {
                let bad = to_bad / (to_bad + to_good);
                Some(bad * loss_in_bad + (1.0 - bad) * loss_in_good)
            }
            Loss::EveryNth(_) | Loss::Numbered(_) => None,
        }
    }
}

/// A model of loss at work.
#[derive(Debug, Default)]
pub(super) struct LossState {
    seen: u64,
    is_bad: bool,
}

impl LossState {
    /// Whether the next datagram is lost.
    pub(super) fn is_lost(&mut self, loss: &Loss, rng: &mut Rng) -> bool {
        let number = self.seen;
        self.seen += 1;
        match loss {
            Loss::None => false,
            Loss::Random(probability) => rng.chance(*probability),
            Loss::Bursts {
                to_bad,
                to_good,
                loss_in_good,
                loss_in_bad,
            } => {
                let turn = if self.is_bad { *to_good } else { *to_bad };
                self.is_bad ^= rng.chance(turn);
                rng.chance(if self.is_bad {
                    *loss_in_bad
                } else {
                    *loss_in_good
                })
            }
            Loss::Numbered(numbers) => numbers.contains(&number),
            Loss::EveryNth(n) => *n > 0 && self.seen % n == 0,
        }
    }
}

/// A kind of damage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Corruption {
    /// So many bits are flipped (the same one perhaps twice).
    FlipBits(u32),
    /// The end is missing.
    Truncate,
    /// Random bytes follow.
    Extend,
    /// Nothing is left.
    Empty,
    /// The halves are swapped.
    SwapHalves,
}

impl Corruption {
    /// One of all kinds; flipped bits are the most frequent.
    pub fn random(rng: &mut Rng) -> Self {
        match rng.below(10) {
            0 => Corruption::Truncate,
            1 => Corruption::Extend,
            2 => Corruption::Empty,
            3 => Corruption::SwapHalves,
            _ => Corruption::FlipBits(rng.pick(&[1, 1, 1, 2, 3, 8])),
        }
    }

    /// Damages `bytes`; an empty datagram stays as it is.
    pub fn apply(self, rng: &mut Rng, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Corruption::FlipBits(count) => {
                for _ in 0..count {
                    let at = rng.index(bytes.len());
                    bytes[at] ^= 1 << rng.below(8);
                }
            }
            Corruption::Truncate => bytes.truncate(rng.index(bytes.len())),
            Corruption::Extend => {
                let more = rng.between(1, 64);
                bytes.extend((0..more).map(|_| rng.next_u64().to_le_bytes()[0]));
            }
            Corruption::Empty => bytes.clear(),
            Corruption::SwapHalves => {
                let half = bytes.len() / 2;
                bytes.rotate_left(half);
            }
        }
    }
}

/// What a broken box does with the ECN field of datagrams whose sender set it (RFC 9000 s13.4.2 lists such boxes).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EcnFault {
    /// Nothing.
    None,
    /// Clears it.
    Bleach,
    /// Turns ECT(0) into ECT(1).
    Ect1,
    /// Marks all, congested or not.
    Ce,
    /// Drops the datagram.
    Drop,
}

/// A datagram that passes a filter.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'d> {
    /// Now.
    pub now: Time,
    /// Who sent it.
    pub sender: HostId,
    /// Whom it is for.
    pub receiver: HostId,
    /// The sender's address.
    pub from: SocketAddr,
    /// The receiver's address.
    pub to: SocketAddr,
    /// How many datagrams this filter saw before.
    pub index: u64,
    /// Its ECN field, unless that is Not-ECT.
    pub ecn: Option<Ecn>,
    /// The datagram.
    pub bytes: &'d [u8],
}

impl<'d> Passing<'d> {
    /// The datagram as a packet of this crate, if it is one.
    pub fn packet(&self) -> Option<Packet<'d>> {
        wire::decode(self.bytes).ok()
    }
}

/// What a filter does with a datagram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It goes on.
    Pass,
    /// It is gone.
    Drop,
    /// It goes on, and so many further copies with it.
    Copies(u32),
    /// It goes on after this time.
    Delay(Duration),
    /// This goes on in its place.
    Replace(Vec<u8>),
    /// It goes on with this ECN field.
    Remark(Option<Ecn>),
    /// It goes on, and these go to the same address with it, as if from the same sender.
    Inject(Vec<Vec<u8>>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share_lost(loss: &Loss, count: u32) -> f64 {
        let mut rng = Rng::new(11, "loss");
        let mut state = LossState::default();
        let lost = (0..count).filter(|_| state.is_lost(loss, &mut rng)).count();
        f64::from(u32::try_from(lost).unwrap()) / f64::from(count)
    }

    #[test]
    fn random_loss_has_its_mean() {
        for mean in [0.001, 0.01, 0.1, 0.5] {
            let share = share_lost(&Loss::random(mean), 1_000_000);
            assert!((share / mean - 1.0).abs() < 0.1, "{share} for {mean}");
        }
    }

    #[test]
    fn bursts_have_the_mean_of_gilbert_and_elliott() {
        let models = [
            Loss::bursts(0.05, 10.0),
            Loss::bursts(0.1, 200.0),
            Loss::Bursts {
                to_bad: 0.01,
                to_good: 0.2,
                loss_in_good: 0.001,
                loss_in_bad: 0.6,
            },
        ];
        for loss in models {
            let mean = loss.mean().expect("a closed form");
            let share = share_lost(&loss, 3_000_000);
            assert!(
                (share / mean - 1.0).abs() < 0.12,
                "{share} for {mean}: {loss:?}"
            );
        }
        assert!((Loss::bursts(0.05, 10.0).mean().expect("a closed form") - 0.05).abs() < 1e-9);
    }

    #[test]
    fn bursts_have_their_mean_length() {
        let loss = Loss::bursts(0.05, 10.0);
        let (mut rng, mut state) = (Rng::new(5, "length"), LossState::default());
        let (mut lost, mut bursts, mut before) = (0_u32, 0_u32, false);
        for _ in 0..1_000_000 {
            let now = state.is_lost(&loss, &mut rng);
            lost += u32::from(now);
            bursts += u32::from(now && !before);
            before = now;
        }
        let length = f64::from(lost) / f64::from(bursts);
        assert!((length - 10.0).abs() < 0.3, "mean length {length}");
    }

    #[test]
    fn named_datagrams_are_lost_and_no_others() {
        let mut rng = Rng::new(1, "named");
        let mut lost = |loss: Loss| -> Vec<u64> {
            let mut state = LossState::default();
            (0..10).filter(|_| state.is_lost(&loss, &mut rng)).collect()
        };
        assert_eq!(lost(Loss::Numbered(vec![0, 3, 9])), [0, 3, 9]);
        assert_eq!(lost(Loss::EveryNth(4)), [3, 7]);
        assert_eq!(lost(Loss::None), [0_u64; 0]);
    }

    #[test]
    fn damage_changes_a_datagram_as_its_kind_says() {
        let mut rng = Rng::new(2, "damage");
        let whole: Vec<u8> = (0..100).collect();
        for _ in 0..1_000 {
            let mut bytes = whole.clone();
            let kind = Corruption::random(&mut rng);
            kind.apply(&mut rng, &mut bytes);
            match kind {
                Corruption::FlipBits(_) => assert_eq!(bytes.len(), 100),
                Corruption::Truncate => assert!(bytes.len() < 100 && whole.starts_with(&bytes)),
                Corruption::Extend => assert!(bytes.len() > 100 && bytes.starts_with(&whole)),
                Corruption::Empty => assert!(bytes.is_empty()),
                Corruption::SwapHalves => assert_eq!(bytes[..50], whole[50..]),
            }
        }
    }
}
