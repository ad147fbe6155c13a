//! The relay's thread: waits for datagrams and for delays to end.

use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

use super::inbox::Inbox;
use super::outbox::Outbox;
use super::pair::{Pair, Side};

/// How many sockets are served in one round.
const EVENTS: usize = 64;
const STOP: u64 = u64::MAX;

/// Wakes the thread for its end.
#[derive(Debug)]
pub(super) struct Stop(OwnedFd);

impl Stop {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(
            0,
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
        )?))
    }

    pub(super) fn ask(&self) -> io::Result<()> {
        rustix::io::write(&self.0, &1u64.to_ne_bytes())?;
        Ok(())
    }
}

/// All that the thread works with.
pub(super) struct EventLoop {
    pairs: Arc<[Pair]>,
    epoll: OwnedFd,
    inbox: Inbox,
    outbox: Outbox,
    /// When each wire wants to be looked at. A cut may have emptied it since: then the look is for nothing.
    due: Vec<Option<Instant>>,
}

impl EventLoop {
    pub(super) fn new(pairs: Arc<[Pair]>, stop: &Stop) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let watch = |fd: BorrowedFd<'_>, name| {
            epoll::add(
                &epoll,
                fd,
                epoll::EventData::new_u64(name),
                epoll::EventFlags::IN,
            )
        };
        watch(stop.0.as_fd(), STOP)?;
        for (index, pair) in pairs.iter().enumerate() {
            for side in Side::BOTH {
                watch(pair.port(side).as_fd(), wire_of(index, side) as u64)?;
            }
        }
        let due = vec![None; pairs.len() * 2];
        Ok(Self {
            pairs,
            epoll,
            inbox: Inbox::new(),
            outbox: Outbox::new(),
            due,
        })
    }

    /// Serves until it is asked to stop, or until something is wrong: in words.
    pub(super) fn run(mut self) -> Result<(), String> {
        // A delay that ends late by less; where the system refuses, it ends late by 50 us.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let mut events: Vec<epoll::Event> = Vec::with_capacity(EVENTS);
        loop {
            let first = self.due.iter().flatten().min().copied();
            let timeout = first.map(remaining);
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(format!("waiting for datagrams: {error}")),
            }
            if first.is_some() {
                self.release(Instant::now());
            }
            for event in &events {
                match event.data.u64() {
                    STOP => return Ok(()),
                    name => self.carry(name)?,
                }
            }
        }
    }

    fn carry(&mut self, name: u64) -> Result<(), String> {
        let wire = usize::try_from(name).expect("made from a usize");
        let (index, side) = pair_of(wire);
        let pair = &self.pairs[index];
        let next = pair.carry(side, &mut self.inbox, &mut self.outbox);
        self.due[wire] =
            next.map_err(|error| format!("reading the {side:?} socket of {}: {error}", pair.link))?;
        Ok(())
    }

    fn release(&mut self, now: Instant) {
        for (wire, due) in self.due.iter_mut().enumerate() {
            if due.is_some_and(|due| due <= now) {
                let (index, side) = pair_of(wire);
                *due = self.pairs[index].release(side, now, &mut self.outbox);
            }
        }
    }
}

fn wire_of(pair: usize, side: Side) -> usize {
    pair * 2 + usize::from(side == Side::Back)
}

const fn pair_of(wire: usize) -> (usize, Side) {
    (wire / 2, Side::BOTH[wire % 2])
}

fn remaining(due: Instant) -> Timespec {
    let remaining = due.saturating_duration_since(Instant::now());
    Timespec {
        tv_sec: i64::try_from(remaining.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(remaining.subsec_nanos()),
    }
}
