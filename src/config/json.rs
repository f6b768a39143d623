//! As much JSON as a flat configuration needs: the members of one object in order, nested values skipped,
//! numbers read exactly. Written here because the `no_std` JSON crates reach panicking code in `core`
//! (slice indices, float parsing), and vesde promises at link time that nothing does.
//!
//! The language is that of Python's `json`, which is RFC 8259 and the words `NaN`, `Infinity` and
//! `-Infinity`. Otherwise Python's reader is no wider: it refuses control characters in strings, a byte
//! order mark, comments, and commas behind the last member. Its nesting is limited as well (1000 levels).

use core::num::NonZeroU128;

use crate::error::Error;

/// How deeply values may be nested: one bit of a `u64` a level remembers which bracket is open.
const MAX_DEPTH: u32 = 64;

/// The smallest power of ten at a number's last digit: twice its inverse still fits 128 bits.
const MIN_POWER: i32 = -37;

/// A cursor over the members of a JSON object.
pub struct Object<'a> {
    rest: &'a [u8],
    first: bool,
}

/// A value, as the text between its delimiters: complete and well-formed.
#[derive(Clone, Copy)]
pub struct Value<'a>(&'a [u8]);

/// A string, as written between its quotes, its escapes well-formed.
#[derive(Clone, Copy)]
pub struct Text<'a>(&'a [u8]);

/// How Python writes what RFC 8259 has no number for.
const NAN: &[u8] = b"NaN";
const INFINITY: &[u8] = b"Infinity";

impl<'a> Object<'a> {
    /// Starts at the opening brace.
    pub fn new(json: &'a [u8]) -> Result<Self, Error> {
        let mut object = Self { rest: json, first: true };
        object.expect(b'{')?;
        Ok(object)
    }

    /// The next key and its value; `None` after the closing brace, behind which nothing but white space may
    /// stand.
    pub fn next_member(&mut self) -> Result<Option<(Text<'a>, Value<'a>)>, Error> {
        if self.peek()? == b'}' {
            self.bump();
            self.skip_space();
            return if self.rest.is_empty() { Ok(None) } else { Err(Error::JsonSyntax) };
        }
        if !self.first {
            self.expect(b',')?;
        }
        self.first = false;
        self.peek()?;
        let key = self.key()?;
        Ok(Some((key, self.value()?)))
    }

    fn bump(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.rest.first() {
            self.bump();
        }
    }

    fn peek(&mut self) -> Result<u8, Error> {
        self.skip_space();
        self.rest.first().copied().ok_or(Error::JsonTruncated)
    }

    fn next_byte(&mut self) -> Result<u8, Error> {
        let byte = self.rest.first().copied().ok_or(Error::JsonTruncated)?;
        self.bump();
        Ok(byte)
    }

    fn expect(&mut self, byte: u8) -> Result<(), Error> {
        if self.peek()? != byte {
            return Err(Error::JsonSyntax);
        }
        self.bump();
        Ok(())
    }

    /// What lies between `start` and here.
    fn since(&self, start: &'a [u8]) -> &'a [u8] {
        start.get(..start.len().saturating_sub(self.rest.len())).unwrap_or_default()
    }

    /// A string, whose escapes are checked.
    fn string(&mut self) -> Result<Text<'a>, Error> {
        if self.next_byte()? != b'"' {
            return Err(Error::JsonSyntax);
        }
        let start = self.rest;
        loop {
            match self.rest.first().ok_or(Error::JsonTruncated)? {
                b'"' => break,
                b'\\' => {
                    self.bump();
                    match self.next_byte()? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' => {
                            for _ in 0..4 {
                                if !self.next_byte()?.is_ascii_hexdigit() {
                                    return Err(Error::JsonSyntax);
                                }
                            }
                        }
                        _ => return Err(Error::JsonSyntax),
                    }
                }
                0..0x20 => return Err(Error::JsonSyntax),
                _ => self.bump(),
            }
        }
        let content = self.since(start);
        self.bump();
        Ok(Text(content))
    }

    /// Any value, skipped without recursion.
    fn value(&mut self) -> Result<Value<'a>, Error> {
        self.peek()?;
        let start = self.rest;
        let (mut depth, mut is_object) = (0, 0_u64);
        loop {
            match self.peek()? {
                open @ (b'{' | b'[') => {
                    if depth == MAX_DEPTH {
                        return Err(Error::JsonDepth);
                    }
                    self.bump();
                    depth += 1;
                    is_object = is_object << 1 | u64::from(open == b'{');
                    let close = if open == b'{' { b'}' } else { b']' };
                    if self.peek()? != close {
                        if open == b'{' {
                            self.key()?;
                        }
                        continue;
                    }
                }
                b'"' => {
                    self.string()?;
                }
                b't' => self.word(b"true")?,
                b'f' => self.word(b"false")?,
                b'n' => self.word(b"null")?,
                b'N' => self.word(NAN)?,
                _ => self.number()?,
            }
            // A value has ended, or an empty bracket waits for its close: go up as far as brackets close.
            loop {
                if depth == 0 {
                    return Ok(Value(self.since(start)));
                }
                let in_object = is_object & 1 == 1;
                match (self.peek()?, in_object) {
                    (b',', _) => {
                        self.bump();
                        if in_object {
                            self.peek()?;
                            self.key()?;
                        }
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        self.bump();
                        depth -= 1;
                        is_object >>= 1;
                    }
                    _ => return Err(Error::JsonSyntax),
                }
            }
        }
    }

    fn key(&mut self) -> Result<Text<'a>, Error> {
        let key = self.string()?;
        self.expect(b':')?;
        Ok(key)
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Error> {
        for &byte in word {
            if self.next_byte()? != byte {
                return Err(Error::JsonSyntax);
            }
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Error> {
        if !self.rest.first().ok_or(Error::JsonTruncated)?.is_ascii_digit() {
            return Err(Error::JsonSyntax);
        }
        while let Some(b'0'..=b'9') = self.rest.first() {
            self.bump();
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Error> {
        if self.rest.first() == Some(&b'-') {
            self.bump();
        }
        if self.rest.first() == Some(&b'I') {
            return self.word(INFINITY);
        }
        if self.rest.first() == Some(&b'0') {
            self.bump();
        } else {
            self.digits()?;
        }
        if self.rest.first() == Some(&b'.') {
            self.bump();
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.rest.first() {
            self.bump();
            if let Some(b'+' | b'-') = self.rest.first() {
                self.bump();
            }
            self.digits()?;
        }
        // A number that the text's end cuts short is a truncated one; what follows is checked by the caller.
        if self.rest.is_empty() { Err(Error::JsonTruncated) } else { Ok(()) }
    }
}

impl<'a> Text<'a> {
    /// Whether the string is this one, of ASCII characters, however they are escaped.
    pub fn is(self, ascii: &[u8]) -> bool {
        self.code_units().eq(ascii.iter().map(|&byte| u16::from(byte)))
    }

    /// UTF-16 code units where escapes say so, and bytes elsewhere: enough to tell ASCII.
    fn code_units(self) -> impl Iterator<Item = u16> {
        let mut bytes = self.0.iter().copied();
        core::iter::from_fn(move || {
            Some(u16::from(match bytes.next()? {
                b'\\' => match bytes.next()? {
                    b'u' => {
                        let hex =
                            |unit: u16, byte: u8| unit << 4 | (byte as char).to_digit(16).unwrap_or(0) as u16;
                        return Some(bytes.by_ref().take(4).fold(0, hex));
                    }
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    itself => itself,
                },
                byte => byte,
            }))
        })
    }
}

impl<'a> Value<'a> {
    /// A string.
    pub fn string(self) -> Result<Text<'a>, Error> {
        self.0.strip_prefix(b"\"").and_then(|s| s.strip_suffix(b"\"")).map(Text).ok_or(Error::JsonType)
    }

    /// A number as the nearest `f64`, ties to even, exactly as Python and Rust read it.
    pub fn number(self) -> Result<f64, Error> {
        let (negative, text) = match self.0 {
            [b'-', text @ ..] => (true, text),
            text => (false, text),
        };
        let value = if text == NAN {
            f64::NAN
        } else if text == INFINITY {
            f64::INFINITY
        } else if text.first().is_some_and(u8::is_ascii_digit) {
            let Decimal { digits, power, inexact } = Decimal::new(text);
            let value = scale(digits, power).ok_or(Error::JsonNumber)?;
            // Digits beyond the 19th only matter where they could change the rounding.
            if inexact && Some(value) != scale(digits + 1, power) {
                return Err(Error::JsonNumber);
            }
            value
        } else {
            return Err(Error::JsonType);
        };
        Ok(if negative { -value } else { value })
    }

    /// A number without a fraction or an exponent; `not_finite` where it is NaN or infinite.
    pub fn integer(self, not_finite: Error) -> Result<u32, Error> {
        let value = self.number()?;
        if !value.is_finite() {
            return Err(not_finite);
        }
        if !self.0.iter().all(|b| b.is_ascii_digit() || *b == b'-') {
            return Err(Error::JsonType);
        }
        if !(0.0..=f64::from(u32::MAX)).contains(&value) {
            return Err(Error::JsonNumber);
        }
        Ok(value as u32)
    }
}

/// `digits · 10^power`, and whether nonzero digits were dropped.
struct Decimal {
    digits: u64,
    power: i32,
    inexact: bool,
}

impl Decimal {
    /// Takes the first 19 significant digits of a well-formed, unsigned JSON number.
    fn new(text: &[u8]) -> Self {
        let mut decimal = Self { digits: 0, power: 0, inexact: false };
        let mut fraction = false;
        let mut bytes = text.iter();
        for &byte in bytes.by_ref() {
            match byte {
                b'.' => fraction = true,
                b'0'..=b'9' => {
                    let digit = u64::from(byte - b'0');
                    if decimal.digits < 10_u64.pow(18) {
                        decimal.digits = decimal.digits * 10 + digit;
                        decimal.power -= i32::from(fraction);
                    } else {
                        decimal.inexact |= digit != 0;
                        decimal.power += i32::from(!fraction);
                    }
                }
                _ => break, // e or E
            }
        }
        let (mut exponent, mut negative) = (0_i32, false);
        for &byte in bytes {
            match byte {
                b'-' => negative = true,
                b'+' => {}
                digit => exponent = exponent.saturating_mul(10).saturating_add(i32::from(digit & 15)),
            }
        }
        decimal.power = decimal.power.saturating_add(if negative { -exponent } else { exponent });
        // Trailing zeros say nothing, and would count against the power.
        while decimal.power < 0
            && !decimal.inexact
            && decimal.digits != 0
            && decimal.digits.is_multiple_of(10)
        {
            decimal.digits /= 10;
            decimal.power += 1;
        }
        decimal
    }
}

/// `digits · 10^power` rounded once, or `None` if that takes more than 128 bits.
fn scale(digits: u64, power: i32) -> Option<f64> {
    let digits = u128::from(digits);
    if digits == 0 {
        return Some(0.0);
    }
    if power >= 0 {
        let ten = 10_u128.checked_pow(power.unsigned_abs())?;
        return digits.checked_mul(ten).map(|product| product as f64);
    }
    if power < MIN_POWER {
        return None;
    }
    let ten = NonZeroU128::new(10_u128.pow(power.unsigned_abs()))?;
    let (mut quotient, mut remainder) = (digits / ten, digits % ten);
    let mut shift = 0;
    // Long division, bit by bit, to 64 bits and more; then one sticky bit for the rest makes the conversion to
    // 53 bits the only rounding.
    while quotient >> 63 == 0 {
        remainder <<= 1;
        quotient <<= 1;
        shift += 1;
        if remainder >= ten.get() {
            remainder -= ten.get();
            quotient |= 1;
        }
    }
    let rounded = (quotient | u128::from(remainder != 0)) as f64;
    Some(rounded * f64::from_bits((1023 - shift) << 52))
}

/// Output of at most `N` bytes; what does not fit is dropped, so `N` must be chosen to suffice.
pub struct Written<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Written<N> {
    pub fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if let Some(to) = self.bytes.get_mut(self.len) {
                *to = byte;
                self.len += 1;
            }
        }
    }

    /// A comma, a new line and a key.
    pub fn member(&mut self, key: &[u8]) {
        self.push(b",\n  \"");
        self.push(key);
        self.push(b"\": ");
    }

    /// The shortest decimal that reads back as the same `f64`.
    pub fn number(&mut self, value: f64) {
        self.push(ryu::Buffer::new().format_finite(value).as_bytes());
    }

    pub fn integer(&mut self, value: u32) {
        let mut scale = 1_000_000_000;
        while scale > 1 && value < scale {
            scale /= 10;
        }
        while scale > 0 {
            self.push(&[b'0' + (value / scale % 10) as u8]);
            scale /= 10;
        }
    }
}
