"use strict";
// What roitrace.view.report.encoding wrote: base 64 of deflated byte planes.

const MISSING_CODE = 65535;

async function inflate(text) {
  const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function integers(text, bytes, signed) {
  const planes = await inflate(text);
  const count = planes.length / bytes;
  const values = signed ? new Int32Array(count) : new Uint32Array(count);
  for (let plane = 0; plane < bytes; plane += 1) {
    for (let i = 0; i < count; i += 1) values[i] |= planes[plane * count + i] << (8 * plane);
  }
  return values;
}

async function decoded(encoded, Kind) {
  const codes = await integers(encoded.codes, 2, false);
  const values = new Kind(codes.length);
  for (let i = 0; i < codes.length; i += 1) {
    values[i] = codes[i] === MISSING_CODE ? NaN : encoded.low + encoded.step * codes[i];
  }
  return values;
}

function shortNumber(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

function cellName(name) {
  return /cell/i.test(name) ? name : `Cell ${name}`;
}
