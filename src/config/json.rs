//! As much JSON as a flat configuration needs: the members of one object in order, nested values
//! skipped, numbers read exactly. Written here because the `no_std` JSON crates reach panicking
//! code in `core` (slice indices, float parsing), and vesde promises at link time that nothing
//! does.
//!
//! The language is that of Python's `json`: RFC 8259 and the words `NaN`, `Infinity` and
//! `-Infinity`, where numbers beyond a double's range are infinite or 0, and of equal keys the last
//! one counts. Python too refuses control characters in strings, a byte order mark, comments, and
//! commas behind the last member. In two ways this reader is narrower: values may be nested 64
//! levels deep, in Python about a thousand; `true` and `false` are no numbers, in Python they are.

use crate::error::Error;

/// How deeply values may be nested: one bit of a `u64` a level remembers which bracket is open.
const MAX_DEPTH: u32 = 64;

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

    /// The next key and its value; `None` after the closing brace, behind which nothing but white
    /// space may stand.
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
            // A value has ended, or an empty bracket waits for its close: go up as far as brackets
            // close.
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
        // A number that the text's end cuts short is a truncated one; what follows is checked by
        // the caller.
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
            let value = scale(digits, power);
            // Digits beyond the 19th only matter where they could change the rounding.
            if inexact && value != scale(digits + 1, power) {
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
        decimal
    }
}

/// `digits · 10^power` rounded once: infinite or 0 where it is beyond what an `f64` holds.
fn scale(digits: u64, power: i32) -> f64 {
    if digits == 0 || power < -MAX_POWER {
        return 0.0;
    }
    if power > MAX_POWER {
        return f64::INFINITY;
    }
    let (mut rest, mut divisor) = (Wide::new(digits), Wide::new(1));
    for _ in 0..power.unsigned_abs() {
        if power > 0 { &mut rest } else { &mut divisor }.multiply_by_ten();
    }
    // divisor ≤ rest < 2·divisor
    let mut exponent = 0;
    while rest.is_less(&divisor) {
        rest.double();
        exponent -= 1;
    }
    loop {
        let mut twice = divisor;
        twice.double();
        if rest.is_less(&twice) {
            break;
        }
        divisor = twice;
        exponent += 1;
    }
    // Long division: 64 bits, the first of them set.
    let mut quotient = 0_u64;
    for _ in 0..u64::BITS {
        quotient <<= 1;
        if !rest.is_less(&divisor) {
            rest.subtract(&divisor);
            quotient |= 1;
        }
        rest.double();
    }
    nearest(quotient, !rest.is_zero(), exponent)
}

/// `top · 2^(exponent − 63)`, rounded to even. The highest bit of `top` is set; `more` tells of
/// bits below its lowest.
fn nearest(top: u64, more: bool, exponent: i32) -> f64 {
    if exponent > 1023 {
        return f64::INFINITY;
    }
    // A normal number keeps 53 bits, a subnormal one fewer.
    let missing = (-1022 - exponent).max(0);
    if missing > 53 {
        return 0.0;
    }
    let dropped_bits = 11 + missing.unsigned_abs();
    let kept = top.checked_shr(dropped_bits).unwrap_or(0);
    let half = 1 << (dropped_bits - 1);
    let dropped = top & (half | (half - 1));
    let up = dropped > half || dropped == half && (more || kept & 1 == 1);
    // The highest bit of what a normal number keeps is not stored: it adds 1 to the exponent, as a
    // carry does.
    let stored = if missing > 0 { 0 } else { (exponent + 1022) as u64 };
    f64::from_bits((stored << 52) + kept + u64::from(up))
}

/// No `f64` but 0 and infinity is as far from 1 as 19 digits times ten to this power.
const MAX_POWER: i32 = 343;

/// An unsigned number of 1280 bits, the lowest first: twice 10^[`MAX_POWER`] and 64 bits of digits
/// fit easily. On words of 32 bits, since arithmetic on wider ones calls functions that not every C
/// compiler's runtime has.
#[derive(Clone, Copy)]
struct Wide([u32; 40]);

// Never inlined: speed is nothing here, and size is something.
impl Wide {
    fn new(number: u64) -> Self {
        let mut words = [0; 40];
        for (word, part) in words.iter_mut().zip([number as u32, (number >> 32) as u32]) {
            *word = part;
        }
        Self(words)
    }

    #[inline(never)]
    fn is_zero(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    #[inline(never)]
    fn is_less(&self, other: &Self) -> bool {
        self.0.iter().rev().lt(other.0.iter().rev())
    }

    #[inline(never)]
    fn double(&mut self) {
        let mut carry = 0;
        for word in &mut self.0 {
            (*word, carry) = (*word << 1 | carry, *word >> 31);
        }
    }

    #[inline(never)]
    fn multiply_by_ten(&mut self) {
        let mut carry = 0;
        for word in &mut self.0 {
            let product = u64::from(*word) * 10 + carry;
            (*word, carry) = (product as u32, product >> 32);
        }
    }

    /// Subtracts a number that is not larger.
    #[inline(never)]
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (word, &other) in self.0.iter_mut().zip(&other.0) {
            let (difference, first) = word.overflowing_sub(other);
            let (difference, second) = difference.overflowing_sub(u32::from(borrow));
            (*word, borrow) = (difference, first || second);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// So many, or a tenth where an emulator runs the tests.
    fn some(count: u64) -> u64 {
        if std::env::var_os("VESDE_RUNNER").is_some() { count / 10 } else { count }
    }

    /// Some 64-bit numbers without a pattern (a linear congruence, mixed).
    fn numbers(count: u64) -> impl Iterator<Item = u64> {
        (0..count).scan(1_u64, |state, _| {
            *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            Some((*state ^ *state >> 29).wrapping_mul(0xbf58476d1ce4e5b9) ^ *state >> 32)
        })
    }

    fn assert_as_rust(digits: u64, power: i32) {
        let read = scale(digits, power);
        let rust: f64 = format!("{digits}e{power}").parse().unwrap();
        assert_eq!(read.to_bits(), rust.to_bits(), "{digits}e{power}: {read:e}, not {rust:e}");
    }

    #[test]
    fn numbers_are_scaled_to_the_nearest() {
        for (i, number) in (0..).zip(numbers(some(4_000))) {
            let digits = (number >> (i % 64)) % 10_u64.pow(19); // of every length
            assert_as_rust(digits, i % 400 - 370);
            assert_as_rust(digits, (i / 64) % 20);
        }
        for power in
            (-37..=19).chain([-343, -342, -325, -324, -308, -300, -100, 100, 280, 290, 300, 308, 309])
        {
            for bit in (0..64).step_by(3) {
                for digits in [(1 << bit) - 1, 1 << bit, (1 << bit) + 1] {
                    assert_as_rust(digits, power);
                }
            }
            for digits in [1, 9, 10, 10_u64.pow(18), 10_u64.pow(19) - 1, 10_u64.pow(19)] {
                assert_as_rust(digits, power);
            }
        }
    }

    #[test]
    fn numbers_halfway_between_two_are_scaled_to_the_even_one() {
        let mut ties = 0;
        // An odd number of 54 bits lies halfway; so does `odd · 10^power`, where `odd · 5^power` is
        // one.
        for power in 0..=22 {
            let five = 5_u64.pow(power);
            for number in numbers(some(100)) {
                let odd = (((number | 1 << 63) >> 10) / five) | 1;
                ties += u32::from((odd * five).ilog2() == 53);
                for digits in [odd - 1, odd, odd + 1] {
                    assert_as_rust(digits, power as i32);
                }
            }
        }
        assert!(ties > some(2_000) as u32, "{ties}");
        // With places after the point, and with the numbers around.
        for places in 0..=3 {
            for number in numbers(some(100)) {
                let tie = ((number | 1 << 63) >> 10 | 1) * 5_u64.pow(places);
                for digits in [tie - 1, tie, tie + 1] {
                    assert_as_rust(digits, -(places as i32));
                }
            }
        }
        // Ties of more bits than 64, and numbers that miss one by a bit or two far below.
        for number in numbers(some(100)) {
            let tie = (number | 1 << 63) >> 10 | 1;
            for shift in 0..10 {
                for digits in [(tie << shift) - 1, tie << shift, (tie << shift) + 1] {
                    assert_as_rust(digits, 0);
                    assert_as_rust(digits, 1);
                    assert_as_rust(digits, 2);
                    assert_as_rust(digits, -1);
                }
            }
        }
    }

    #[test]
    fn numbers_at_the_ends_of_the_range_are_scaled_to_the_nearest() {
        for number in numbers(some(60)) {
            let digits = (number >> (number % 64)).max(1);
            for power in [
                -345, -344, -343, -335, -328, -324, -320, -316, -310, -307, 288, 289, 290, 295, 307, 308, 309,
            ] {
                assert_as_rust(digits, power);
            }
        }
        // Halves of the least number, the border between subnormal and normal, and that of
        // infinity.
        for (digits, power) in [
            (2470328229206232720, -342),
            (2470328229206232721, -342),
            (7410984687618698161, -342),
            (7410984687618698162, -342),
            (22250738585072011, -324),
            (22250738585072012, -324),
            (2225073858507201136, -326),
            (17976931348623157, 292),
            (17976931348623158, 292),
            (1797693134862315807, 290),
            (1797693134862315808, 290),
            (u64::MAX, 300),
        ] {
            assert_as_rust(digits, power);
        }
        for power in [i32::MIN, -344, 344, i32::MAX] {
            let beyond = if power < 0 { 0.0 } else { f64::INFINITY };
            assert_eq!((scale(1, power), scale(0, power)), (beyond, 0.0));
        }
    }

    #[test]
    fn more_than_19_digits_are_read_where_they_do_not_matter() {
        let (mut read, mut random) = (0, numbers(some(60_000)));
        for i in 0..some(20_000) {
            let mut number = || random.next().unwrap();
            let (a, b, c) = (number() % 1_000_000_000, number(), number());
            let text = match i % 3 {
                0 => format!("{a}.{b:020}{c:020}"),
                1 => format!("0.{a:09}{b:020}"),
                _ => format!("{a}{b:020}e-{}", c % 30),
            };
            match Value(text.as_bytes()).number() {
                Ok(value) => {
                    assert_eq!(value.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
                    read += 1;
                }
                Err(error) => assert_eq!(error, Error::JsonNumber, "{text}"),
            }
        }
        assert!(read > some(19_000), "{read}");
    }
}
