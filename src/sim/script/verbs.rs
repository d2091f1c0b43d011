//! The verbs of scripts: what the application does, and questions.

use std::time::Duration;

use crate::config::{Config, EndpointConfig, Keepalive};
use crate::connection::{Info, Linger, ReadError, WriteError};
use crate::endpoint::Listening;
use crate::error::ResetCode;
use crate::sim::content;

use super::build::{OURS, THEIRS, address};
use super::device::Line;
use super::line::parse_seconds;
use super::notation::{Notation, is_like};
use super::play::Player;

type Done = Result<(), String>;

impl Player {
    pub(super) fn verb(&mut self, words: &[String]) -> Done {
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut number = 0;
        if let ["conn", which, rest @ ..] = &words[..] {
            number = parse::<usize>(which)?.saturating_sub(1);
            words = rest.to_vec();
        }
        match &words[..] {
            ["config", setting @ ..] => self.configure(setting),
            ["listen"] => self.listening(Listening::Yes),
            ["unlisten"] => self.listening(Listening::No),
            ["backlog", "full"] => self.listening(Listening::Full),
            ["connect"] => self.open(number, None),
            ["rendezvous", token] => self.open(number, Some(parse(token)?)),
            ["ignore", packet @ ..] => {
                let packet: Vec<String> = packet.iter().map(|word| (*word).to_owned()).collect();
                self.ignore(Some(Notation::parse(&packet)?));
                Ok(())
            }
            ["heed"] => {
                self.ignore(None);
                Ok(())
            }
            ["quiet"] => self.nothing_waits(),
            ["icmp"] => self.device.unreachable(),
            ["accepted", count] => same("accepted", count, &self.device.accepted.to_string()),
            _ => self.on_line(number, &words),
        }
    }

    fn listening(&mut self, listening: Listening) -> Done {
        self.device.listen(listening);
        Ok(())
    }

    fn open(&mut self, number: usize, token: Option<u64>) -> Done {
        let line = self.device.connect(address("a")?, token)?;
        let peer = self.peers.get_mut(number).ok_or("no such connection")?;
        peer.line = Some(line);
        self.device.drain(line)
    }

    fn on_line(&mut self, number: usize, words: &[&str]) -> Done {
        let peer = self.peers.get(number).ok_or("no such connection")?;
        let index = peer.line.ok_or("the endpoint has no such connection")?;
        let now = self.device.now;
        let line = self
            .device
            .lines
            .get_mut(index)
            .ok_or("the connection is gone")?;
        match words {
            ["write", count] => write(line, parse(count)?, count)?,
            ["write", count, "=", result] => write(line, parse(count)?, result)?,
            ["read", count] => read(line, parse(count)?)?,
            ["read", "=", result] => same("read", result, &read_once(line)?)?,
            ["shutdown"] => line.core.shutdown_write(),
            ["shutdown_read"] => line.core.shutdown_read(),
            ["close"] => line.core.release(now, Linger::Background),
            ["linger", time] => line.core.release(now, Linger::For(parse_seconds(time)?)),
            ["abort", code] => line.core.abort(ResetCode::from_application(parse(code)?)),
            ["keepalive", "off"] => line.core.set_keepalive(now, None),
            ["keepalive", times @ ..] => line.core.set_keepalive(now, Some(keepalive(times)?)),
            ["user_timeout", time] => {
                let time = parse_seconds(time)?;
                line.core.set_user_timeout(now, Some(time));
            }
            ["state", name] => same("state", name, &state_name(&line.core.info(now)))?,
            ["info", name, value] => same(name, value, &number_of(&line.core.info(now), name)?)?,
            ["failed", kind] => {
                let error = line.core.take_error().ok_or("it has not failed")?;
                same("failed", kind, &format!("{:?}", error.kind()))?;
            }
            ["alive"] if line.core.is_failed() => return Err("it has failed".to_owned()),
            ["alive"] => {}
            ["closed"] if !line.is_closed => return Err("it is not over".to_owned()),
            ["closed"] => {}
            _ => return Err(format!("{words:?} is no verb")),
        }
        self.device.drain(index)
    }

    fn configure(&mut self, setting: &[&str]) -> Done {
        if self.device.is_started() {
            return Err("the endpoint exists already".to_owned());
        }
        let config = std::mem::take(&mut self.device.config);
        let endpoint = std::mem::take(&mut self.device.endpoint_config);
        (self.device.config, self.device.endpoint_config) = configured(config, endpoint, setting)?;
        Ok(())
    }
}

fn configured(
    config: Config,
    endpoint: EndpointConfig,
    setting: &[&str],
) -> Result<(Config, EndpointConfig), String> {
    let config = match setting {
        ["receive_window", bytes] => config.with_receive_window(parse(bytes)?),
        ["send_buffer", bytes] => config.with_send_buffer(parse(bytes)?),
        ["user_timeout", "none"] => config.with_user_timeout(None),
        ["user_timeout", time] => config.with_user_timeout(Some(parse_seconds(time)?)),
        ["connect_timeout", time] => config.with_connect_timeout(parse_seconds(time)?),
        ["idle_timeout", time] => config.with_idle_timeout(Some(parse_seconds(time)?)),
        ["keepalive", times @ ..] => config.with_keepalive(Some(keepalive(times)?)),
        ["max_ack_delay", time] => config.with_max_ack_delay(parse_seconds(time)?),
        ["max_datagram", bytes] => config.with_max_datagram(parse(bytes)?),
        ["nodelay"] => config.with_nodelay(true),
        ["abort_on_unread"] => config.with_abort_on_unread(true),
        ["time_wait", time] => return Ok((config, endpoint.with_time_wait(parse_seconds(time)?))),
        ["backlog", count] => return Ok((config, endpoint.with_backlog(parse(count)?))),
        _ => return Err(format!("{setting:?} is no setting")),
    };
    Ok((config, endpoint))
}

fn keepalive(times: &[&str]) -> Result<Keepalive, String> {
    let [idle, interval, count] = times else {
        return Err("keepalive needs idle, interval and count".to_owned());
    };
    Ok(Keepalive {
        idle: parse_seconds(idle)?,
        interval: parse_seconds(interval)?,
        count: parse(count)?,
    })
}

fn parse<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("{word} is no number"))
}

fn same(what: &str, wanted: &str, value: &str) -> Done {
    if is_like(wanted, value) {
        Ok(())
    } else {
        Err(format!("{what} is {value}, not {wanted}"))
    }
}

fn write(line: &mut Line, count: usize, wanted: &str) -> Done {
    let mut bytes = vec![0; count];
    content::fill(OURS, line.written, &mut bytes);
    let result = match line.core.write(&bytes) {
        Ok(taken) => {
            line.written += u64::try_from(taken).expect("a length");
            taken.to_string()
        }
        Err(WriteError::Blocked) => "blocked".to_owned(),
        Err(WriteError::Closed) => "closed".to_owned(),
        Err(WriteError::Failed(reason)) => format!("{:?}", reason.kind()),
    };
    same("write", wanted, &result)
}

/// Reads exactly so many bytes.
fn read(line: &mut Line, count: usize) -> Done {
    let mut buffer = vec![0; count];
    let mut done = 0;
    while done < count {
        match line.core.read(&mut buffer[done..]) {
            Ok(0) => return Err(format!("end of stream after {done} bytes")),
            Ok(taken) => done += taken,
            Err(error) => return Err(format!("{error} after {done} bytes")),
        }
    }
    if let Some(wrong) = content::mismatch(THEIRS, line.read, &buffer) {
        return Err(format!(
            "byte {} of the stream is wrong",
            line.read + u64::try_from(wrong).expect("a length")
        ));
    }
    line.read += u64::try_from(count).expect("a length");
    Ok(())
}

/// One call, of at most 64 KiB.
fn read_once(line: &mut Line) -> Result<String, String> {
    let mut buffer = vec![0; 65_536];
    Ok(match line.core.read(&mut buffer) {
        Ok(0) => "eof".to_owned(),
        Ok(taken) => {
            if content::mismatch(THEIRS, line.read, &buffer[..taken]).is_some() {
                return Err("the stream is wrong".to_owned());
            }
            line.read += u64::try_from(taken).expect("a length");
            taken.to_string()
        }
        Err(ReadError::Blocked) => "blocked".to_owned(),
        Err(ReadError::Failed(reason)) => format!("{:?}", reason.kind()),
    })
}

/// The state as RFC 9293 writes it.
fn state_name(info: &Info) -> String {
    use crate::connection::TcpState::*;
    let name = match info.state {
        SynSent => "SYN_SENT",
        SynReceived => "SYN_RCVD",
        Established => "ESTABLISHED",
        FinWait1 => "FIN_WAIT_1",
        FinWait2 => "FIN_WAIT_2",
        CloseWait => "CLOSE_WAIT",
        Closing => "CLOSING",
        LastAck => "LAST_ACK",
        TimeWait => "TIME_WAIT",
        Closed => "CLOSED",
    };
    name.to_owned()
}

fn number_of(info: &Info, name: &str) -> Result<String, String> {
    let seconds = |time: Option<Duration>| {
        time.map_or_else(|| "none".to_owned(), |time| time.as_secs_f64().to_string())
    };
    let number = match name {
        "cwnd" => info.cwnd,
        "ssthresh" => info.ssthresh,
        "inflight" => info.bytes_in_flight,
        "sent" => info.packets_sent,
        "acked" => info.packets_acked,
        "lost" => info.packets_lost,
        "spurious" => info.packets_spurious,
        "duplicate" => info.packets_duplicate,
        "written" => info.bytes_written,
        "received" => info.bytes_received,
        "retransmitted" => info.bytes_retransmitted,
        "unread_at_peer" => u64::from(info.unread_at_peer),
        "mtu" => u64::from(info.path_mtu),
        "srtt" => return Ok(seconds(info.srtt)),
        "min_rtt" => return Ok(seconds(info.min_rtt)),
        _ => return Err(format!("{name} is no number of a connection")),
    };
    Ok(number.to_string())
}
