//! Tests of the workspace as a whole.

#[cfg(test)]
mod abuse;
#[cfg(test)]
mod acknowledged;
mod api;
#[cfg(test)]
mod conversations;
#[cfg(test)]
mod coordinator;
mod demo;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod jam;
#[cfg(test)]
mod load;
#[cfg(test)]
mod log;
mod scorer;
mod scripts;
mod tidy;
#[cfg(test)]
mod world;
