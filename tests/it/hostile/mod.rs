//! Those who want a verdict that is not so, or more than they were granted: an agent that lies, and
//! an attacker on the path who can read, drop, delay, repeat, change and make up datagrams.
//!
//! What the attacker does is played in virtual time first (`sim::attacks`); here the programs
//! themselves meet him.

mod liar;
mod path;
