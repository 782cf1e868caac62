//! One output with readers, all in this process.

#![allow(dead_code, unreachable_pub, reason = "every test file uses another part of it")]

use std::os::fd::OwnedFd;

use lockfree_ipc::{
    ArenaSpec, Doorbell, EdgeSpec, MAX_HELD, Policy, Publisher, Subscriber, arena, doorbell, edge,
};

/// Descriptors of one output and one reader, as a daemon makes them.
pub struct Fds {
    pub spec: ArenaSpec,
    pub arena_write: OwnedFd,
    pub arena_read: OwnedFd,
    pub bell: OwnedFd,
}

pub fn arena_spec(outstanding: u32) -> ArenaSpec {
    ArenaSpec { outstanding, ..ArenaSpec::default() }
}

impl Fds {
    pub fn new(outstanding: u32) -> Self {
        let spec = arena_spec(outstanding);
        let fds = arena::create(&spec, [1; 16]).unwrap();
        Self { spec, arena_write: fds.write, arena_read: fds.read, bell: doorbell::create().unwrap() }
    }

    pub fn edge(&self, limit: u32, policy: Policy) -> OwnedFd {
        edge::create(&EdgeSpec { limit, policy, arena: self.spec }).unwrap()
    }

    pub fn doorbell(&self) -> Doorbell {
        Doorbell::open(self.bell.try_clone().unwrap(), None).unwrap()
    }

    pub fn publisher(&self) -> Publisher {
        Publisher::open(self.arena_write.try_clone().unwrap(), None, None).unwrap()
    }

    pub fn subscriber(&self, edge: &OwnedFd) -> Subscriber {
        Subscriber::open(edge.try_clone().unwrap(), self.arena_read.try_clone().unwrap()).unwrap()
    }
}

/// A publisher with one reader.
pub fn pair(limit: u32, policy: Policy) -> (Publisher, Subscriber, Doorbell) {
    let fds = Fds::new(2 * limit + MAX_HELD + 48);
    let edge = fds.edge(limit, policy);
    let mut publisher = fds.publisher();
    publisher.add_edge(0, edge.try_clone().unwrap(), fds.doorbell()).unwrap();
    (publisher, fds.subscriber(&edge), fds.doorbell())
}

/// Small reproducible random numbers (xorshift64*, S. Vigna 2016).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}
