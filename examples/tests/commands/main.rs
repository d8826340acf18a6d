//! The programs of this package as a user runs them: what they refuse, and what they print.

#[cfg(test)]
mod embed;
#[cfg(test)]
mod load;
#[cfg(test)]
mod outputs;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod recordings;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod stage;
