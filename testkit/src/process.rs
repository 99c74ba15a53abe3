//! Programs that a check starts: how they are asked to end, and which port they listen on where they were
//! told to take any.
//!
//! A port that is asked for and let go may be another program's by the time it is used. So the program
//! itself binds port 0, and Linux tells which one it has been given.

use std::net::Ipv4Addr;
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Result, bail, ensure};

/// How long a program may take to listen.
const LONGEST: Duration = Duration::from_secs(30);
/// From one look to the next.
const STEP: Duration = Duration::from_millis(50);

/// Sends a program SIGINT, which ends it as Ctrl-C does. It is an error where the program has ended before.
pub fn interrupt(child: &Child) -> Result<()> {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
    ensure!(sent.success(), "the program ended by itself");
    Ok(())
}

/// Waits until a program listens on a port of IPv4, and returns that port: the first in the order of the
/// kernel's table. It is an error where the program ends first, or does not listen within 30 s.
pub async fn port_of(child: &mut Child) -> Result<u16> {
    port_where(child, |_| true).await
}

/// The same at one address: of a program that listens on several ports, each at its own address of the loopback
/// interface.
pub async fn port_at(child: &mut Child, address: Ipv4Addr) -> Result<u16> {
    port_where(child, |listens| listens == address).await
}

async fn port_where(child: &mut Child, is_meant: impl Fn(Ipv4Addr) -> bool) -> Result<u16> {
    let mut waited = Duration::ZERO;
    while waited < LONGEST {
        if let Some(port) = listening(child.id(), &is_meant) {
            return Ok(port);
        }
        if let Some(status) = child.try_wait()? {
            bail!("it ended before it listened: {status}");
        }
        tokio::time::sleep(STEP).await;
        waited += STEP;
    }
    bail!("it did not listen in {} s", LONGEST.as_secs())
}

/// The port of a process's first listening socket at an address that is meant, from `/proc`. A process that has
/// ended has none.
fn listening(process: u32, is_meant: impl Fn(Ipv4Addr) -> bool) -> Option<u16> {
    let files = std::fs::read_dir(format!("/proc/{process}/fd")).ok()?;
    let held: Vec<String> = files
        .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
        .filter_map(|target| {
            let name = target.to_str()?.strip_prefix("socket:[")?;
            Some(name.strip_suffix(']')?.to_owned())
        })
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).ok()?;
    table.lines().skip(1).find_map(|line| {
        // Number, local address, remote address, state (0A: listening), and at the tenth place the inode.
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_own = held.iter().any(|inode| fields.get(9) == Some(&inode.as_str()));
        let (address, port) = fields.get(1)?.split_once(':')?;
        // The kernel prints the bytes of the address as a number of this machine's.
        let address = Ipv4Addr::from(u32::from_str_radix(address, 16).ok()?.to_ne_bytes());
        let is_found = is_own && fields[3] == "0A" && is_meant(address);
        is_found.then(|| u16::from_str_radix(port, 16).ok())?
    })
}
