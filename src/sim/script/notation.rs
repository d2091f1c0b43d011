//! A packet as a script writes it, and whether a packet that was sent is like it.

use std::fmt;

/// Kinds of packet, and of other things that can be injected.
const KINDS: [&str; 14] = [
    "S", "SA", "D", "A", "G", "R", "P", "PM", "PC", "PR", "U", "V", "raw", "zeros",
];
/// Words that a value follows.
const FIELDS: [&str; 22] = [
    "pn", "ack", "up", "cr", "unread", "delay", "num", "cookie", "win", "maxdg", "service",
    "clock", "code", "highest", "size", "tracked", "nonce", "from", "to", "conn", "cid", "content",
];
/// More of them, that only injected packets know.
const INJECTED: [&str; 2] = ["flip", "version"];
/// Words that stand alone.
const FLAGS: [&str; 8] = [
    "F", "I", "H", "X", "dropped", "critical", "unknown", "reserved",
];

/// A packet: its kind and its words.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Notation {
    pub(super) kind: String,
    pub(super) range: Option<(String, String)>,
    /// Flags that are set, and flags that are said not to be.
    pub(super) flags: Vec<(String, bool)>,
    fields: Vec<(String, String)>,
    /// What follows `raw` and `zeros`.
    pub(super) argument: String,
}

impl Notation {
    pub(super) fn new(kind: &str) -> Self {
        Notation {
            kind: kind.to_owned(),
            ..Notation::default()
        }
    }

    pub(super) fn parse(words: &[String]) -> Result<Self, String> {
        let (kind, words) = words.split_first().ok_or("no packet")?;
        if !KINDS.contains(&kind.as_str()) {
            return Err(format!("{kind} is no kind of packet"));
        }
        let mut notation = Notation::new(kind);
        if kind == "raw" || kind == "zeros" {
            notation.argument = words.first().ok_or("no bytes")?.clone();
            return notation.parse_words(&words[1..]);
        }
        notation.parse_words(words)
    }

    fn parse_words(mut self, words: &[String]) -> Result<Self, String> {
        let mut words = words.iter().map(String::as_str).peekable();
        while let Some(word) = words.next() {
            if let Some(flag) = word.strip_prefix('-').filter(|flag| FLAGS.contains(flag)) {
                self.flags.push((flag.to_owned(), false));
            } else if FLAGS.contains(&word) {
                self.flags.push((word.to_owned(), true));
            } else if word == "cookie" {
                let value = words.next_if_eq(&"flip").unwrap_or("*");
                self.set("cookie", value);
            } else if FIELDS.contains(&word) || INJECTED.contains(&word) {
                let value = words.next().ok_or(format!("{word} has no value"))?;
                self.set(word, value);
            } else if let Some((start, end)) = word.split_once(':') {
                self.range = Some((start.to_owned(), end.to_owned()));
            } else {
                return Err(format!("{word} says nothing about a packet"));
            }
        }
        Ok(self)
    }

    pub(super) fn set(&mut self, field: &str, value: impl fmt::Display) {
        self.fields.push((field.to_owned(), value.to_string()));
    }

    pub(super) fn set_flag(&mut self, flag: &str, is_set: bool) {
        if is_set {
            self.flags.push((flag.to_owned(), true));
        }
    }

    /// The value of a word, if it is there.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a word as a number.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let parse = |value: &str| {
            value
                .parse()
                .map_err(|_| format!("{name} {value}: no number"))
        };
        self.field(name).map(parse).transpose()
    }

    pub(super) fn has(&self, flag: &str) -> bool {
        self.flags
            .iter()
            .any(|(name, is_set)| name == flag && *is_set)
    }

    /// Whether `sent` is the packet that is expected here; if not, in which word they differ.
    pub(super) fn matches(&self, sent: &Notation) -> Result<(), String> {
        if sent.has("F") && !self.has("F") {
            return Err("an unexpected FIN".to_owned());
        }
        self.covers(sent)
    }

    /// Whether `sent` has every word of this.
    pub(super) fn covers(&self, sent: &Notation) -> Result<(), String> {
        if self.kind != sent.kind {
            return Err(format!("{}, not {}", sent.kind, self.kind));
        }
        if let Some((start, end)) = &self.range {
            let (sent_start, sent_end) = sent.range.clone().unwrap_or_default();
            if !is_like(start, &sent_start) || !is_like(end, &sent_end) {
                return Err(format!("{sent_start}:{sent_end}, not {start}:{end}"));
            }
        }
        for (flag, is_set) in &self.flags {
            if sent.has(flag) != *is_set {
                return Err(format!("flag {flag} differs"));
            }
        }
        for (name, value) in &self.fields {
            match sent.field(name) {
                Some(sent) if is_like(value, sent) => {}
                Some(sent) => return Err(format!("{name} {sent}, not {value}")),
                None => return Err(format!("no {name}")),
            }
        }
        Ok(())
    }
}

impl fmt::Display for Notation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if !self.argument.is_empty() {
            write!(f, " {}", self.argument)?;
        }
        if let Some((start, end)) = &self.range {
            write!(f, " {start}:{end}")?;
        }
        for (flag, is_set) in &self.flags {
            write!(f, " {}{flag}", if *is_set { "" } else { "-" })?;
        }
        for (field, value) in &self.fields {
            match (field.as_str(), value.as_str()) {
                ("cookie", "*") => f.write_str(" cookie")?,
                _ => write!(f, " {field} {value}")?,
            }
        }
        Ok(())
    }
}

/// Whether a value is as a script wants it: equal, any, between two, at most, at least.
pub(super) fn is_like(wanted: &str, value: &str) -> bool {
    if wanted == "*" || wanted == value {
        return true;
    }
    let number = |text: &str| text.parse::<f64>().ok();
    let Some(value) = number(value) else {
        return false;
    };
    if let Some(most) = wanted.strip_prefix("<=").and_then(number) {
        return value <= most;
    }
    if let Some(least) = wanted.strip_prefix(">=").and_then(number) {
        return value >= least;
    }
    if let Some((low, high)) = wanted.split_once("..") {
        return number(low).is_some_and(|low| value >= low)
            && number(high).is_some_and(|high| value <= high);
    }
    number(wanted).is_some_and(|wanted| (wanted - value).abs() < 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notation(text: &str) -> Notation {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Notation::parse(&words).expect("a packet")
    }

    #[test]
    fn a_packet_is_written_as_it_was_read() {
        for text in [
            "D 0:1000 F I pn 3 ack 0-2 up 9 cookie",
            "A -F num 7",
            "raw 00ff",
            "R code 0",
        ] {
            assert_eq!(notation(text).to_string(), text);
        }
    }

    #[test]
    fn words_that_are_missing_are_not_compared_fin_aside() {
        let sent = notation("D 0:1000 I pn 3 ack 0-2 up 9");
        for like in [
            "D",
            "D 0:1000",
            "D *:<=1000 pn 3",
            "D -F",
            "D ack 0-2 up 5..9",
        ] {
            assert_eq!(notation(like).matches(&sent), Ok(()), "{like}");
        }
        for unlike in [
            "A",
            "D 1:1000",
            "D pn 4",
            "D F",
            "D -I",
            "D cookie",
            "D up 10..20",
        ] {
            assert!(notation(unlike).matches(&sent).is_err(), "{unlike}");
        }
        assert!(
            notation("D").matches(&notation("D 0:1 F")).is_err(),
            "a FIN must be expected"
        );
    }

    #[test]
    fn values_may_be_bounds() {
        assert!(is_like("*", "x") && is_like("<=5", "5") && is_like(">=5", "5.5"));
        assert!(is_like("1..2", "1.5") && is_like("1.50", "1.5") && !is_like("1..2", "2.1"));
        assert!(!is_like("<=5", "none"));
    }
}
