//! Bytes to reply values, as a client needs it.

/// One reply, as a client sees it.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// `+`.
    Simple(Vec<u8>),
    /// `-`, the text after it.
    Error(Vec<u8>),
    /// `:`.
    Integer(i64),
    /// `$`.
    Bulk(Vec<u8>),
    /// `_`, `$-1` or `*-1`.
    Null,
    /// `*`.
    Array(Vec<Reply>),
    /// `%`.
    Map(Vec<(Reply, Reply)>),
    /// `~`.
    Set(Vec<Reply>),
    /// `>`.
    Push(Vec<Reply>),
    /// `|` and the reply it describes.
    Attributed(Vec<(Reply, Reply)>, Box<Reply>),
    /// `,`.
    Double(f64),
    /// `#`.
    Boolean(bool),
    /// `(`.
    BigNumber(Vec<u8>),
    /// `=`: format and text.
    Verbatim([u8; 3], Vec<u8>),
}
