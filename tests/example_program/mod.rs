//! An example's program as a process that a test starts, watches and ends.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Far longer than any test takes: a program that hangs is killed, and fails its test.
const PATIENCE: Duration = Duration::from_secs(120);

/// A started program; it is killed if the test ends before it.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
}

/// What a program that has ended left behind.
#[derive(Debug)]
pub(crate) struct Output {
    /// The exit code; that of a program that was killed is -1.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Starts `example` with `arguments`.
pub(crate) fn start(example: &str, arguments: &[String]) -> Running {
    Running::start(Command::new(program(example)).args(arguments))
}

/// Starts `example` so that files in `directory` cannot grow beyond a megabyte: on a small
/// file system of its own where the system lets us make one, else under a limit of file sizes.
#[cfg(unix)]
pub(crate) fn start_with_full_disk(
    example: &str,
    directory: &Path,
    arguments: &[String],
) -> Running {
    const MOUNT: &str = r#"mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@""#;
    const LIMIT: &str = r#"trap "" XFSZ; ulimit -f 1024; exec "$@""#;
    let namespace = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        MOUNT,
    ];
    let with = |shell: &[&str], program: &Path, arguments: &[String]| {
        let mut command = Command::new(shell[0]);
        command
            .args(&shell[1..])
            .arg(directory)
            .arg(program)
            .args(arguments);
        command
    };
    let can_mount = with(&namespace, Path::new("true"), &[]).output();
    if can_mount.is_ok_and(|output| output.status.success()) {
        Running::start(&mut with(&namespace, &program(example), arguments))
    } else {
        Running::start(&mut with(
            &["sh", "-c", LIMIT],
            &program(example),
            arguments,
        ))
    }
}

impl Running {
    fn start(command: &mut Command) -> Running {
        let command = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (line, lines) = mpsc::channel();
        thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .all(|l| line.send(l).is_ok())
        });
        let stderr = child
            .stderr
            .take()
            .map(|stderr| thread::spawn(move || read_all(stderr)));
        Running {
            child,
            lines,
            stderr,
        }
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(error) => {
                // It ends here, or never would.
                let _ = self.child.kill();
                panic!(
                    "no line: {error}: {}",
                    self.stderr.take().unwrap().join().unwrap()
                );
            }
        }
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Output {
        let mut stdout = String::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => stdout.extend([&line, "\n"]),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.child.kill();
                    panic!("it hangs: {}", self.stderr.take().unwrap().join().unwrap());
                }
            }
        }
        let status = self.child.wait().unwrap();
        let stderr = self.stderr.take().unwrap().join().unwrap();
        Output {
            code: status.code().unwrap_or(-1),
            stdout,
            stderr,
        }
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as Ctrl-C does.
    #[cfg(unix)]
    pub(crate) fn interrupt(&self) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &pid])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, or the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Output {
    /// Asserts how it ended.
    pub(crate) fn expect(&self, code: i32) {
        assert_eq!(self.code, code, "{self:?}");
    }

    /// Asserts how it ended, and that it said why.
    pub(crate) fn expect_error(&self, code: i32, reason: &str) {
        self.expect(code);
        assert!(self.stderr.contains(reason), "{self:?}");
    }
}

/// Returns when `file` is there and has bytes.
pub(crate) fn wait_for_bytes(file: &Path) {
    let begin = now();
    while !file.metadata().is_ok_and(|metadata| metadata.len() > 0) {
        assert!(begin.elapsed() < PATIENCE, "{} stays empty", file.display());
        thread::yield_now();
    }
}

fn read_all(mut stderr: ChildStderr) -> String {
    let mut text = String::new();
    // What is not UTF-8 is no message of ours.
    let _ = stderr.read_to_string(&mut text);
    text
}

/// The example beside this test, built now if cargo runs us: `cargo test --test` alone would leave
/// an old one there, or none.
fn program(example: &str) -> PathBuf {
    static BUILT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    // target/PROFILE/deps/TEST-HASH
    let test = std::env::current_exe().unwrap();
    let directory = test.parent().and_then(Path::parent).unwrap();
    let mut built = BUILT.lock().unwrap();
    if let (Some(cargo), false) = (std::env::var_os("CARGO"), built.contains(example)) {
        build(Path::new(&cargo), example, directory);
        built.insert(example.to_owned());
    }
    directory
        .join("examples")
        .join(example)
        .with_extension(std::env::consts::EXE_EXTENSION)
}

fn build(cargo: &Path, example: &str, directory: &Path) {
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let status = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--example",
            example,
            "--profile",
            profile,
        ])
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(directory.parent().unwrap())
        .status();
    assert!(status.unwrap().success(), "{example} does not build");
}

#[expect(
    clippy::disallowed_methods,
    reason = "a bound on waiting needs a clock"
)]
fn now() -> Instant {
    Instant::now()
}
