//! What a record begins with, if not with the type of a value.

/// The slots a cluster's node is about to own (Valkey 9).
pub(super) const SLOT_IMPORT: u8 = 243;
/// A slot and how much is in it (Redis 7.4 and 8).
pub(super) const SLOT_INFO: u8 = 244;
/// A library of functions.
pub(super) const FUNCTION: u8 = 245;
/// Functions of a release candidate of Redis 7.0.
pub(super) const FUNCTION_BEFORE_GA: u8 = 246;
pub(super) const MODULE_AUX: u8 = 247;
pub(super) const IDLE: u8 = 248;
pub(super) const FREQUENCY: u8 = 249;
pub(super) const AUX: u8 = 250;
pub(super) const SIZES: u8 = 251;
pub(super) const DEADLINE_MS: u8 = 252;
pub(super) const DEADLINE_SECONDS: u8 = 253;
pub(super) const DATABASE: u8 = 254;
pub(super) const END: u8 = 255;
