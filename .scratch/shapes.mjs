// src/onnx/decode.ts
import { closeSync as closeSync2, fstatSync, openSync as openSync2, readSync as readSync2 } from "node:fs";

// src/onnx/errors.ts
var OnnxError = class extends Error {
  name = "OnnxError";
  /** Stable machine-readable code, e.g. `MODEL_TRUNCATED`. */
  code;
  /** The message without place and hint. */
  what;
  hint;
  place;
  constructor(code, what, options = {}) {
    super(what, options.cause === void 0 ? void 0 : { cause: options.cause });
    this.code = code;
    this.what = what;
    this.hint = options.hint;
    this.place = options.place ?? {};
    this.message = this.render();
  }
  /** Adds what a caller further out knows (file, import site) where it is still unknown, and returns the same error. */
  at(place) {
    this.place = { ...place, ...Object.fromEntries(Object.entries(this.place).filter(([, v]) => v !== void 0)) };
    this.message = this.render();
    return this;
  }
  render() {
    const { file, node, importSite } = this.place;
    const where = [file && `in ${file}`, node && `at node ${node}`, importSite && `imported by ${importSite}`].filter(
      Boolean
    );
    return [
      `[${this.code}] ${this.what}`,
      where.length ? `  ${where.join(", ")}` : "",
      this.hint ? `  ${this.hint}` : ""
    ].filter(Boolean).join("\n");
  }
};

// src/onnx/proto.ts
import protobuf from "protobufjs";

// src/onnx/schema.ts
var PROTO = `
syntax = "proto2";
package onnx;
message AttributeProto {
  optional string name = 1; optional string ref_attr_name = 21; optional string doc_string = 13; optional int32 type = 20;
  optional float f = 2; optional int64 i = 3; optional bytes s = 4; optional TensorProto t = 5; optional GraphProto g = 6;
  optional SparseTensorProto sparse_tensor = 22; optional TypeProto tp = 14;
  repeated float floats = 7; repeated int64 ints = 8; repeated bytes strings = 9; repeated TensorProto tensors = 10;
  repeated GraphProto graphs = 11; repeated SparseTensorProto sparse_tensors = 23; repeated TypeProto type_protos = 15;
}
message ValueInfoProto {
  optional string name = 1; optional TypeProto type = 2; optional string doc_string = 3; repeated StringStringEntryProto metadata_props = 4;
}
message NodeProto {
  repeated string input = 1; repeated string output = 2; optional string name = 3; optional string op_type = 4;
  optional string domain = 7; optional string overload = 8; repeated AttributeProto attribute = 5; optional string doc_string = 6;
  repeated StringStringEntryProto metadata_props = 9; repeated bytes device_configurations = 10;
}
message ModelProto {
  optional int64 ir_version = 1; repeated OperatorSetIdProto opset_import = 8; optional string producer_name = 2;
  optional string producer_version = 3; optional string domain = 4; optional int64 model_version = 5; optional string doc_string = 6;
  optional GraphProto graph = 7; repeated StringStringEntryProto metadata_props = 14; repeated bytes training_info = 20;
  repeated FunctionProto functions = 25; repeated bytes configuration = 26;
}
message StringStringEntryProto { optional string key = 1; optional string value = 2; }
message GraphProto {
  repeated NodeProto node = 1; optional string name = 2; repeated TensorProto initializer = 5;
  repeated SparseTensorProto sparse_initializer = 15; optional string doc_string = 10; repeated ValueInfoProto input = 11;
  repeated ValueInfoProto output = 12; repeated ValueInfoProto value_info = 13; repeated bytes quantization_annotation = 14;
  repeated StringStringEntryProto metadata_props = 16;
}
message TensorProto {
  repeated int64 dims = 1; optional int32 data_type = 2; optional bytes segment = 3; repeated bytes float_data = 4;
  repeated bytes int32_data = 5; repeated bytes string_data = 6; repeated bytes int64_data = 7; optional string name = 8;
  optional string doc_string = 12; optional bytes raw_data = 9; repeated StringStringEntryProto external_data = 13;
  optional int32 data_location = 14; repeated bytes double_data = 10; repeated bytes uint64_data = 11;
  repeated StringStringEntryProto metadata_props = 16; optional uint32 slice = 536870911;
}
message SparseTensorProto { optional TensorProto values = 1; optional TensorProto indices = 2; repeated int64 dims = 3; }
message TensorShapeProto {
  message Dimension { optional int64 dim_value = 1; optional string dim_param = 2; optional string denotation = 3; }
  repeated Dimension dim = 1;
}
message TypeProto {
  message Tensor { optional int32 elem_type = 1; optional TensorShapeProto shape = 2; }
  message Sequence { optional TypeProto elem_type = 1; }
  message Map { optional int32 key_type = 1; optional TypeProto value_type = 2; }
  message Optional { optional TypeProto elem_type = 1; }
  message Opaque { optional string domain = 1; optional string name = 2; }
  optional Tensor tensor_type = 1; optional Sequence sequence_type = 4; optional Map map_type = 5; optional Optional optional_type = 9;
  optional Tensor sparse_tensor_type = 8; optional Opaque opaque_type = 7; optional string denotation = 6;
}
message OperatorSetIdProto { optional string domain = 1; optional int64 version = 2; }
message FunctionProto {
  optional string name = 1; repeated string input = 4; repeated string output = 5; repeated string attribute = 6;
  repeated AttributeProto attribute_proto = 11; repeated NodeProto node = 7; optional string doc_string = 8;
  repeated OperatorSetIdProto opset_import = 9; optional string domain = 10; optional string overload = 13;
  repeated ValueInfoProto value_info = 12; repeated StringStringEntryProto metadata_props = 14;
}
`;
var schema_default = PROTO;

// src/onnx/proto.ts
var root;
function messageType(name) {
  root ??= protobuf.parse(schema_default).root;
  return root.lookupType(`onnx.${name}`);
}

// src/onnx/bytes.ts
import { closeSync, openSync, readSync } from "node:fs";
var MAX_READ = 1 << 28;
function readFully(fd, target, offset, path) {
  let done = 0;
  while (done < target.length) {
    const n = readSync(fd, target, done, Math.min(MAX_READ, target.length - done), offset + done);
    if (n === 0)
      throw new OnnxError("FILE_TRUNCATED", `the file ends ${target.length - done} bytes too early`, {
        place: { file: path },
        hint: "Was it cut off while copying or downloading? Fetch it again."
      });
    done += n;
  }
}
var FileBytes = class _FileBytes {
  file;
  length;
  constructor(path, offset, length) {
    this.file = { path, offset };
    this.length = length;
  }
  read(target) {
    const bytes = target?.subarray(0, this.length) ?? new Uint8Array(this.length);
    const fd = openSync(this.file.path, "r");
    try {
      readFully(fd, bytes, this.file.offset, this.file.path);
    } finally {
      closeSync(fd);
    }
    return bytes;
  }
  /** A part of this range, without reading it. */
  slice(start, length) {
    return new _FileBytes(this.file.path, this.file.offset + start, length);
  }
};
function bytesOf(source) {
  return source instanceof Uint8Array ? source : source.read();
}

// src/onnx/skeleton.ts
var LEAVE_IN_FILE = 4096;
var SLICE_FIELD = 536870911;
var RAW_DATA = 9;
var CHILDREN = {
  model: { 7: "graph", 25: "function" },
  graph: { 1: "node", 5: "tensor", 15: "sparse" },
  node: { 5: "attribute" },
  attribute: { 5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse" },
  sparse: { 1: "tensor", 2: "tensor" },
  function: { 7: "node", 11: "attribute" },
  tensor: {}
};
var Window = class {
  #fd;
  #path;
  size;
  #buffer = Buffer.allocUnsafe(1 << 18);
  #start = 0;
  #end = 0;
  pos = 0;
  constructor(fd, path, size) {
    this.#fd = fd;
    this.#path = path;
    this.size = size;
  }
  /** A view of the next `n` bytes without advancing; valid until the next call. */
  peek(n) {
    if (this.pos + n > this.size) throw truncated(this.#path, this.pos + n - this.size);
    if (this.pos < this.#start || this.pos + n > this.#end) {
      if (n > this.#buffer.length) this.#buffer = Buffer.allocUnsafe(n);
      const length = Math.min(this.#buffer.length, this.size - this.pos);
      readFully(this.#fd, this.#buffer.subarray(0, length), this.pos, this.#path);
      this.#start = this.pos;
      this.#end = this.pos + length;
    }
    return this.#buffer.subarray(this.pos - this.#start, this.pos - this.#start + n);
  }
  varint(limit) {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i++) {
      if (this.pos >= limit) throw corrupt(this.#path, this.pos, "a number runs past the end of its message");
      const byte = this.peek(1)[0];
      this.pos++;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
    throw corrupt(this.#path, this.pos, "a number is longer than ten bytes");
  }
};
function truncated(path, missing) {
  return new OnnxError("MODEL_TRUNCATED", `the model file ends at least ${missing} bytes too early`, {
    place: { file: path },
    hint: "Was it cut off while copying or downloading? Fetch it again."
  });
}
function corrupt(path, at, why) {
  return new OnnxError("MODEL_CORRUPT", `this is not a valid ONNX file: ${why} (byte ${at})`, {
    place: { file: path },
    hint: "Fetch or export the model again; if another tool reads it, please report it."
  });
}
var Output = class {
  buffer = Buffer.allocUnsafe(1 << 16);
  pos = 0;
  room(n) {
    if (this.pos + n <= this.buffer.length) return;
    const next = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, this.pos + n));
    this.buffer.copy(next, 0, 0, this.pos);
    this.buffer = next;
  }
  copy(bytes) {
    this.room(bytes.length);
    bytes.copy(this.buffer, this.pos);
    this.pos += bytes.length;
  }
  varint(value) {
    this.room(10);
    let rest = value;
    while (rest > 127) {
      this.buffer[this.pos++] = rest % 128 | 128;
      rest = Math.floor(rest / 128);
    }
    this.buffer[this.pos++] = rest;
  }
  open() {
    this.room(5);
    this.pos += 5;
    return this.pos;
  }
  close(start) {
    let length = this.pos - start;
    for (let i = start - 5; i < start - 1; i++, length = Math.floor(length / 128))
      this.buffer[i] = length % 128 | 128;
    this.buffer[start - 1] = length;
  }
};
function readSkeleton(fd, path, size) {
  const input = new Window(fd, path, size);
  const output = new Output();
  const slices = [];
  const message = (kind, end, depth) => {
    if (depth > 200) throw corrupt(path, input.pos, "messages are nested too deeply");
    while (input.pos < end) {
      const tag = input.varint(end);
      const field = Math.floor(tag / 8);
      const wire = tag % 8;
      if (field === 0) throw corrupt(path, input.pos, "field number 0");
      if (wire === 2) {
        const length = input.varint(end);
        const start = input.pos;
        if (start + length > end) {
          if (kind === "model" && start + length > size) throw truncated(path, start + length - size);
          throw corrupt(path, start, `a field of ${length} bytes runs past the end of its message`);
        }
        const child = CHILDREN[kind][field];
        if (child && length >= LEAVE_IN_FILE) {
          output.varint(tag);
          const open = output.open();
          message(child, start + length, depth + 1);
          output.close(open);
        } else if (kind === "tensor" && field === RAW_DATA && length >= LEAVE_IN_FILE) {
          output.varint(SLICE_FIELD * 8);
          output.varint(slices.push(new FileBytes(path, start, length)) - 1);
          input.pos += length;
        } else {
          output.varint(tag);
          output.varint(length);
          copy(length);
        }
      } else if (wire === 0) {
        output.varint(tag);
        do {
          if (input.pos >= end) throw corrupt(path, input.pos, "a number runs past the end of its message");
          output.copy(input.peek(1));
        } while (input.peek(1)[0] >= 128 && ++input.pos);
        input.pos++;
      } else if (wire === 1 || wire === 5) {
        output.varint(tag);
        if (input.pos + (wire === 1 ? 8 : 4) > end)
          throw corrupt(path, input.pos, "a number runs past the end of its message");
        copy(wire === 1 ? 8 : 4);
      } else throw corrupt(path, input.pos, `wire type ${wire}`);
    }
  };
  const copy = (length) => {
    for (let rest = length; rest > 0; ) {
      const n = Math.min(rest, 1 << 18);
      output.copy(input.peek(n));
      input.pos += n;
      rest -= n;
    }
  };
  message("model", size, 0);
  return { bytes: output.buffer.subarray(0, output.pos), slices };
}

// src/onnx/wire.ts
import protobuf2 from "protobufjs";
var NodeReader = protobuf2.BufferReader;
function varint64(reader) {
  let lo = 0;
  let hi = 0;
  for (let shift = 0; shift < 70; shift += 7) {
    if (reader.pos >= reader.len) throw new RangeError("index out of range");
    const byte = reader.buf[reader.pos++];
    const bits = byte & 127;
    if (shift < 28) lo |= bits << shift;
    else if (shift === 28) {
      lo |= bits << 28;
      hi |= bits >>> 4;
    } else hi |= bits << shift - 32;
    if (byte < 128) return { lo: lo >>> 0, hi: hi >>> 0 };
  }
  throw new RangeError("invalid varint encoding");
}
function toInt64(lo, hi, signed) {
  const high = signed ? hi | 0 : hi;
  const value = high * 4294967296 + lo;
  return Number.isSafeInteger(value) ? value : BigInt(high) << 32n | BigInt(lo);
}
var Reader = class extends NodeReader {
  constructor(buffer) {
    super(buffer);
    this.discardUnknown = false;
  }
  /** A plain Uint8Array: `slice` of a Buffer would not copy. */
  raw(start, end) {
    return new Uint8Array(this.buf.buffer, this.buf.byteOffset + start, end - start);
  }
  int64() {
    const { lo, hi } = varint64(this);
    return toInt64(lo, hi, true);
  }
  uint64() {
    const { lo, hi } = varint64(this);
    return toInt64(lo, hi, false);
  }
};
var BY_REFERENCE = 1024;
var SegmentWriter = class extends protobuf2.Writer {
  #references = [];
  #forks = [];
  #outside = 0;
  /** The small part of the message and its cursor (protobufjs keeps them untyped). */
  get #inside() {
    return this;
  }
  bytes(value) {
    if (typeof value === "string" || value.length < BY_REFERENCE) {
      super.bytes(typeof value === "string" || value instanceof Uint8Array ? value : value.read());
      return this;
    }
    this.uint32(value.length);
    this.#references.push({ at: this.#inside.pos, bytes: value });
    this.#outside += value.length;
    return this;
  }
  int64(value) {
    return this.#varint64(value);
  }
  uint64(value) {
    return this.#varint64(value);
  }
  #varint64(value) {
    let rest = BigInt.asUintN(64, BigInt(value));
    const inside = this.#inside;
    inside._reserve(10);
    while (rest > 127n) {
      inside.buf[inside.pos++] = Number(rest & 0x7fn) | 128;
      rest >>= 7n;
    }
    inside.buf[inside.pos++] = Number(rest);
    return this;
  }
  fork() {
    const inside = this.#inside;
    this.#forks.push({ at: inside.pos, references: this.#references.length, outside: this.#outside });
    inside._reserve(1);
    inside.pos += 1;
    return this;
  }
  ldelim() {
    const fork = this.#forks.pop();
    const inside = this.#inside;
    const start = fork.at + 1;
    const own = inside.pos - start;
    let length = own + this.#outside - fork.outside;
    if (length > 2147483647) throw new RangeError("message over 2 GiB");
    let width = 1;
    for (let rest = length >>> 7; rest; rest >>>= 7) width++;
    if (width > 1) {
      inside._reserve(width - 1);
      inside.buf.copyWithin(fork.at + width, start, start + own);
      inside.pos += width - 1;
      for (let i = fork.references; i < this.#references.length; i++) this.#references[i].at += width - 1;
    }
    let at = fork.at;
    for (; length > 127; length >>>= 7) inside.buf[at++] = length & 127 | 128;
    inside.buf[at] = length;
    return this;
  }
  /** Number of bytes of the finished message. */
  get total() {
    return this.#inside.pos + this.#outside;
  }
  /** The finished message in order. */
  *segments() {
    const { buf, pos } = this.#inside;
    let from = 0;
    for (const { at, bytes } of this.#references) {
      if (at > from) yield buf.subarray(from, at);
      yield bytes;
      from = at;
    }
    if (pos > from) yield buf.subarray(from, pos);
  }
};

// src/onnx/decode.ts
var IMPOSTORS = [
  {
    test: (head) => head.startsWith("version https://git-lfs"),
    code: "MODEL_GIT_LFS",
    what: "this file is a Git LFS pointer, not the model itself",
    hint: "Run `git lfs install && git lfs pull` in the repository that holds it."
  },
  {
    test: (head) => /^\s*<(!doctype|html|\?xml)/i.test(head),
    code: "MODEL_NOT_ONNX",
    what: "this file is an HTML or XML page, not an ONNX model",
    hint: "The download probably saved an error or login page. Fetch the raw file."
  },
  {
    test: (head) => head.slice(4, 8) === "ORTM",
    code: "MODEL_ORT_FORMAT",
    what: "this is a model in ONNX Runtime format (.ort), which is already optimized for one machine",
    hint: "Import the original .onnx model instead."
  },
  {
    test: (head) => head.startsWith("PK"),
    code: "MODEL_NOT_ONNX",
    what: "this file is a ZIP archive, not an ONNX model",
    hint: "Unpack it first; PyTorch checkpoints (.pt) must be exported to ONNX."
  },
  {
    test: (head) => /^\s*[[{]\s*"/.test(head),
    code: "MODEL_NOT_ONNX",
    what: "this file is JSON, not an ONNX model",
    hint: "Import the .onnx file."
  }
];
function rejectImpostor(head, file) {
  if (head.length === 0)
    throw new OnnxError("MODEL_EMPTY", "the model file is empty", {
      place: { file },
      hint: "Fetch or export it again."
    });
  const text = Buffer.from(head.buffer, head.byteOffset, head.length).toString("latin1");
  const found = IMPOSTORS.find(({ test }) => test(text));
  if (found) throw new OnnxError(found.code, found.what, { place: { file }, hint: found.hint });
}
function parse(bytes, file) {
  let model;
  try {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    model = messageType("ModelProto").decode(new Reader(buffer));
  } catch (cause) {
    if (cause instanceof OnnxError) throw cause;
    throw new OnnxError("MODEL_CORRUPT", `this is not a valid ONNX file: ${cause.message}`, {
      place: { file },
      hint: "It is cut off, damaged or of another format. Fetch or export the model again.",
      cause
    });
  }
  if (!model.graph)
    throw new OnnxError("MODEL_NOT_ONNX", "this file holds no ONNX graph", {
      place: { file },
      hint: "Is it an ONNX model? TensorFlow, TFLite and PyTorch files must be exported to ONNX first."
    });
  return model;
}
function decodeFile(path) {
  const fd = openModel(path);
  let skeleton;
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw notReadable(path, stat);
    const head = Buffer.alloc(Math.min(64, stat.size));
    readSync2(fd, head, 0, head.length, 0);
    rejectImpostor(head, path);
    skeleton = readSkeleton(fd, path, stat.size);
  } finally {
    closeSync2(fd);
  }
  const model = parse(skeleton.bytes, path);
  forEachTensor(model, (tensor) => {
    if (!Object.hasOwn(tensor, "slice")) return;
    const slice = skeleton.slices[tensor.slice];
    if (!slice)
      throw new OnnxError("MODEL_CORRUPT", "this is not a valid ONNX file: reserved field used", {
        place: { file: path }
      });
    tensor.rawData = slice;
    delete tensor.slice;
  });
  return model;
}
function openModel(path) {
  try {
    return openSync2(path, "r");
  } catch (cause) {
    const { code } = cause;
    const what = code === "ENOENT" ? "there is no such file" : `the model file can't be opened (${code})`;
    throw new OnnxError(code === "ENOENT" ? "MODEL_NOT_FOUND" : "MODEL_NOT_READABLE", what, {
      place: { file: path },
      hint: code === "ENOENT" ? "Check the path of the import; it is relative to the importing module." : "Check its permissions.",
      cause
    });
  }
}
function notReadable(path, stat) {
  const kind = stat.isDirectory() ? "a folder" : "not a regular file";
  return new OnnxError("MODEL_NOT_READABLE", `the model path is ${kind}`, {
    place: { file: path },
    hint: "Import an .onnx file."
  });
}
function forEachTensor(model, visit3) {
  const sparse = ({ values, indices }) => {
    if (values) visit3(values);
    if (indices) visit3(indices);
  };
  const nodes = (list) => {
    for (const node of list ?? [])
      for (const attribute of node.attribute ?? []) {
        if (attribute.t) visit3(attribute.t);
        attribute.tensors?.forEach(visit3);
        if (attribute.sparseTensor) sparse(attribute.sparseTensor);
        attribute.sparseTensors?.forEach(sparse);
        if (attribute.g) graph(attribute.g);
        attribute.graphs?.forEach(graph);
      }
  };
  const graph = (proto) => {
    proto.initializer?.forEach(visit3);
    proto.sparseInitializer?.forEach(sparse);
    nodes(proto.node);
  };
  if (model.graph) graph(model.graph);
  for (const fn of model.functions ?? []) nodes(fn.node);
}

// src/onnx/dtypes.ts
var DTYPES = {
  float32: { code: 1, bits: 32, kind: "float", short: "f32" },
  uint8: { code: 2, bits: 8, kind: "int", short: "u8" },
  int8: { code: 3, bits: 8, kind: "int", short: "s8" },
  uint16: { code: 4, bits: 16, kind: "int", short: "u16" },
  int16: { code: 5, bits: 16, kind: "int", short: "s16" },
  int32: { code: 6, bits: 32, kind: "int", short: "s32" },
  int64: { code: 7, bits: 64, kind: "int", short: "s64" },
  string: { code: 8, bits: 0, kind: "string", short: "str" },
  bool: { code: 9, bits: 8, kind: "bool", short: "bool" },
  float16: { code: 10, bits: 16, kind: "float", short: "f16" },
  float64: { code: 11, bits: 64, kind: "float", short: "f64" },
  uint32: { code: 12, bits: 32, kind: "int", short: "u32" },
  uint64: { code: 13, bits: 64, kind: "int", short: "u64" },
  complex64: { code: 14, bits: 64, kind: "complex", short: "c64" },
  complex128: { code: 15, bits: 128, kind: "complex", short: "c128" },
  bfloat16: { code: 16, bits: 16, kind: "float", short: "bf16" },
  float8e4m3fn: { code: 17, bits: 8, kind: "float8", short: "f8e4m3fn" },
  float8e4m3fnuz: { code: 18, bits: 8, kind: "float8", short: "f8e4m3fnuz" },
  float8e5m2: { code: 19, bits: 8, kind: "float8", short: "f8e5m2" },
  float8e5m2fnuz: { code: 20, bits: 8, kind: "float8", short: "f8e5m2fnuz" },
  uint4: { code: 21, bits: 4, kind: "int", short: "u4" },
  int4: { code: 22, bits: 4, kind: "int", short: "s4" },
  float4e2m1: { code: 23, bits: 4, kind: "float8", short: "f4e2m1" },
  float8e8m0: { code: 24, bits: 8, kind: "float8", short: "f8e8m0" },
  uint2: { code: 25, bits: 2, kind: "int", short: "u2" },
  int2: { code: 26, bits: 2, kind: "int", short: "s2" }
};
var byCode = new Map(
  Object.keys(DTYPES).map((name) => [DTYPES[name].code, name])
);
function dtypeOf(code) {
  return byCode.get(code);
}
function codeOf(dtype) {
  return DTYPES[dtype].code;
}
function byteLengthOf(dtype, count) {
  return Math.ceil(DTYPES[dtype].bits * count / 8);
}
function isFloat(dtype) {
  return dtype !== void 0 && DTYPES[dtype].kind === "float";
}

// src/onnx/external.ts
import { realpathSync, statSync } from "node:fs";
import { dirname, isAbsolute, resolve, sep } from "node:path";
function externalReference(entries, tensor, file) {
  const values = new Map(entries.map(({ key, value }) => [key ?? "", value ?? ""]));
  const location = values.get("location");
  const number = (key) => {
    const text = values.get(key);
    if (text === void 0 || text === "") return void 0;
    const value = Number(text);
    if (Number.isSafeInteger(value) && value >= 0) return value;
    throw new OnnxError("EXTERNAL_DATA_INVALID", `tensor "${tensor}" has the ${key} "${text}" in its external data`, {
      place: { file },
      hint: "The model file is damaged or was edited by hand. Export it again."
    });
  };
  if (!location)
    throw new OnnxError(
      "EXTERNAL_DATA_INVALID",
      `tensor "${tensor}" is stored outside the model, but the model does not say where`,
      {
        place: { file },
        hint: "Export the model again."
      }
    );
  return { location, offset: number("offset") ?? 0, length: number("length") };
}
function openExternal(reference, expected, tensor, modelFile) {
  const place = { file: modelFile };
  const { location, offset } = reference;
  if (!modelFile)
    throw new OnnxError(
      "EXTERNAL_DATA_NO_FILE",
      `tensor "${tensor}" is stored in "${location}", but the model was given as bytes`,
      {
        hint: "Give the path of the model instead."
      }
    );
  const folder = realpathSync(dirname(modelFile));
  const path = resolve(folder, location);
  const outside = (real2) => real2 !== folder && !real2.startsWith(folder.endsWith(sep) ? folder : folder + sep);
  const refuse = () => new OnnxError(
    "EXTERNAL_DATA_OUTSIDE",
    `tensor "${tensor}" is stored in "${location}", outside the model's folder`,
    {
      place,
      hint: "For your safety only files beside the model are read. Move the data file there and export the model again."
    }
  );
  if (isAbsolute(location) || /^[a-z]:[\\/]/i.test(location) || outside(path)) throw refuse();
  let real;
  try {
    real = realpathSync(path);
  } catch (cause) {
    throw new OnnxError(
      "EXTERNAL_DATA_MISSING",
      `the data file "${location}" of the model is missing (tensor "${tensor}")`,
      {
        place,
        hint: `Put it beside the model: models with external data consist of several files.`,
        cause
      }
    );
  }
  if (outside(real)) throw refuse();
  const stat = statSync(real);
  if (!stat.isFile())
    throw new OnnxError("EXTERNAL_DATA_INVALID", `"${location}", the data file of tensor "${tensor}", is not a file`, {
      place
    });
  const length = reference.length ?? expected;
  if (length !== expected)
    throw new OnnxError(
      "EXTERNAL_DATA_INVALID",
      `tensor "${tensor}" needs ${expected} bytes, but its external data has ${length}`,
      {
        place,
        hint: "Model and data file do not belong together, or one is damaged."
      }
    );
  if (offset + length > stat.size)
    throw new OnnxError(
      "EXTERNAL_DATA_TRUNCATED",
      `tensor "${tensor}" lies at bytes ${offset} to ${offset + length} of "${location}", which has only ${stat.size}`,
      { place, hint: "The data file is cut off, or belongs to another model. Fetch it again." }
    );
  return new FileBytes(real, offset, length);
}

// src/graph/number-lists.ts
var LIST_OF = {
  float32: "floatData",
  complex64: "floatData",
  float64: "doubleData",
  complex128: "doubleData",
  int64: "int64Data",
  uint32: "uint64Data",
  uint64: "uint64Data"
};
var FIELD = { floatData: 4, int32Data: 5, int64Data: 7, doubleData: 10, uint64Data: 11 };
function decodeNumberList(proto, dtype, count) {
  const list = LIST_OF[dtype] ?? "int32Data";
  const chunks = [...proto[list] ?? [], ...unpackedValues(proto, FIELD[list])];
  const wire = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
  if (list === "floatData" || list === "doubleData")
    return wire.length === byteLengthOf(dtype, count) ? wire : void 0;
  return decodeVarints(wire, dtype, count);
}
function* unpackedValues(proto, field) {
  for (const raw of proto.$unknowns ?? []) if (raw[0] >>> 3 === field && raw[0] < 128) yield raw.subarray(1);
}
function decodeVarints(wire, dtype, count) {
  const size = Math.max(1, DTYPES[dtype].bits / 8);
  const bytes = new Uint8Array(byteLengthOf(dtype, count));
  let at = 0;
  let out = 0;
  for (; at < wire.length && out < bytes.length; out += size) {
    for (let shift = 0; ; shift += 7) {
      const byte = wire[at++];
      if (byte === void 0) return void 0;
      const group = (byte & 127) << (shift & 7);
      const target = shift >> 3;
      if (target < size) bytes[out + target] |= group & 255;
      if (target + 1 < size) bytes[out + target + 1] |= group >> 8;
      if (byte < 128) break;
    }
  }
  return at === wire.length && out === bytes.length ? bytes : void 0;
}

// src/graph/numbers.ts
function halfToNumber(half) {
  const sign = half & 32768 ? -1 : 1;
  const exponent = half >> 10 & 31;
  const fraction = half & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}
function numberToHalf(value) {
  if (Number.isNaN(value)) return 32256;
  const sign = value < 0 || Object.is(value, -0) ? 32768 : 0;
  const size = Math.abs(value);
  if (size >= 65520) return sign | 31744;
  let exponent = Math.max(-14, Math.floor(Math.log2(size || 2 ** -24)));
  if (size < 2 ** exponent && exponent > -14) exponent--;
  const scaled = size / 2 ** (exponent - 10);
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  const rounded = rest > 0.5 || rest === 0.5 && floor % 2 === 1 ? floor + 1 : floor;
  return sign | (rounded < 1024 ? rounded : (exponent + 14) * 1024 + rounded);
}
var word = new DataView(new ArrayBuffer(4));
function numberToBfloat(value) {
  if (Number.isNaN(value)) return 32704;
  word.setFloat32(0, value);
  const bits = word.getUint32(0);
  return bits + 32767 + (bits >>> 16 & 1) >>> 16;
}
function bfloatToNumber(bits) {
  word.setUint32(0, bits << 16);
  return word.getFloat32(0);
}
var ACCESS = {
  float32: [(v, at) => v.getFloat32(at, true), (v, at, x) => v.setFloat32(at, Number(x), true)],
  float64: [(v, at) => v.getFloat64(at, true), (v, at, x) => v.setFloat64(at, Number(x), true)],
  float16: [
    (v, at) => halfToNumber(v.getUint16(at, true)),
    (v, at, x) => v.setUint16(at, numberToHalf(Number(x)), true)
  ],
  bfloat16: [
    (v, at) => bfloatToNumber(v.getUint16(at, true)),
    (v, at, x) => v.setUint16(at, numberToBfloat(Number(x)), true)
  ],
  int8: [(v, at) => v.getInt8(at), (v, at, x) => v.setInt8(at, Number(x))],
  uint8: [(v, at) => v.getUint8(at), (v, at, x) => v.setUint8(at, Number(x))],
  int16: [(v, at) => v.getInt16(at, true), (v, at, x) => v.setInt16(at, Number(x), true)],
  uint16: [(v, at) => v.getUint16(at, true), (v, at, x) => v.setUint16(at, Number(x), true)],
  int32: [(v, at) => v.getInt32(at, true), (v, at, x) => v.setInt32(at, Number(x), true)],
  uint32: [(v, at) => v.getUint32(at, true), (v, at, x) => v.setUint32(at, Number(x), true)],
  int64: [(v, at) => Number(v.getBigInt64(at, true)), (v, at, x) => v.setBigInt64(at, BigInt(x), true)],
  uint64: [(v, at) => Number(v.getBigUint64(at, true)), (v, at, x) => v.setBigUint64(at, BigInt(x), true)],
  bool: [(v, at) => v.getUint8(at), (v, at, x) => v.setUint8(at, x ? 1 : 0)]
};
function unpackNumbers(dtype, bytes, count) {
  const access = dtype && ACCESS[dtype];
  if (access) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const step = DTYPES[dtype].bits / 8;
    return Array.from({ length: count }, (_, i) => access[0](view, i * step));
  }
  if (!dtype || DTYPES[dtype].kind !== "int") throw new Error(`elements of ${dtype} can't be read as numbers`);
  const { bits } = DTYPES[dtype];
  const sign = dtype.startsWith("int") ? 1 << bits - 1 : 0;
  return Array.from({ length: count }, (_, i) => {
    const raw = bytes[i * bits >> 3] >> (i * bits & 7) & (1 << bits) - 1;
    return (raw ^ sign) - sign;
  });
}
function packNumbers(dtype, values) {
  const bytes = new Uint8Array(byteLengthOf(dtype, values.length));
  const { bits } = DTYPES[dtype];
  const access = ACCESS[dtype];
  if (access) {
    const view = new DataView(bytes.buffer);
    values.forEach((value, i) => void access[1](view, i * bits / 8, value));
  } else if (DTYPES[dtype].kind === "int")
    values.forEach((value, i) => {
      bytes[i * bits >> 3] |= (Number(value) & (1 << bits) - 1) << (i * bits & 7);
    });
  else throw new Error(`a tensor of ${dtype} can't be made from numbers`);
  return bytes;
}

// src/graph/tensor.ts
var EXTERNAL = 1;
var Tensor = class _Tensor {
  /** Element type; undefined for codes newer than this version knows. */
  dtype;
  dims;
  #data;
  /** The wire form this came from, reused as it is when the tensor is written again. */
  #proto;
  constructor(dtype, dims, data, proto) {
    this.dtype = dtype;
    this.dims = dims;
    this.#data = data;
    this.#proto = proto;
  }
  /** A tensor from its raw bytes. Throws if their length does not fit dtype and dims. */
  static of(dtype, dims, data) {
    const expected = byteLengthOf(dtype, elementsIn(dims));
    if (dtype === "string" || data.length !== expected)
      throw new Error(`a ${dtype} tensor of [${dims}] takes ${expected} bytes, not ${data.length}`);
    return new _Tensor(dtype, dims, data);
  }
  /** A small tensor from JS numbers or bigints; floats are rounded to the nearest. */
  static from(dtype, dims, values) {
    return _Tensor.of(dtype, dims, packNumbers(dtype, values));
  }
  /** A float32 tensor over the array's own memory. */
  static float32(dims, values) {
    const array = values instanceof Float32Array ? values : Float32Array.from(values);
    return _Tensor.of("float32", dims, new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
  }
  /** An int64 tensor, 1-D unless dims say otherwise. */
  static int64(values, dims = [values.length]) {
    return _Tensor.from("int64", dims, values);
  }
  /** A string tensor. */
  static strings(dims, values) {
    const encoder = new TextEncoder();
    return new _Tensor(
      "string",
      dims,
      values.map((value) => encoder.encode(value))
    );
  }
  /**
   * Reads a tensor from its wire form.
   *
   * @param file model file, whose folder holds external data
   * @throws OnnxError if the data does not fit dtype and dims, or external data is missing or refused
   */
  static fromProto(proto, file) {
    const name = proto.name || "(unnamed)";
    const dims = (proto.dims ?? []).map(Number);
    const dtype = dtypeOf(proto.dataType ?? 0);
    const broken = (what) => new OnnxError("TENSOR_INVALID", `tensor "${name}" ${what}`, {
      place: { file },
      hint: "The model is damaged. Export it again."
    });
    if (dims.some((dim) => !Number.isSafeInteger(dim) || dim < 0)) throw broken(`has the shape [${dims}]`);
    const count = elementsIn(dims);
    if (dtype === "string") {
      const strings = proto.stringData ?? [];
      if (strings.length !== count) throw broken(`has ${strings.length} strings for the shape [${dims}]`);
      return new _Tensor(dtype, dims, strings, proto);
    }
    const expected = dtype && byteLengthOf(dtype, count);
    if (proto.dataLocation === EXTERNAL) {
      const reference = externalReference(proto.externalData ?? [], name, file);
      return new _Tensor(dtype, dims, openExternal(reference, expected ?? reference.length ?? 0, name, file), proto);
    }
    if (!dtype || expected === void 0) return new _Tensor(dtype, dims, proto.rawData ?? new Uint8Array(), proto);
    const data = Object.hasOwn(proto, "rawData") ? proto.rawData : decodeNumberList(proto, dtype, count);
    if (data?.length !== expected)
      throw broken(
        `of ${dtype} [${dims}] takes ${expected} bytes, but the file has ${data ? data.length : "another number of elements"}`
      );
    return new _Tensor(dtype, dims, data, proto);
  }
  /**
   * The wire form under `name`. An untouched tensor gives back what it came from, byte for byte, unless its data lay in
   * another file: then it is embedded.
   */
  toProto(name) {
    const proto = this.#proto;
    if (proto && proto.dataLocation !== EXTERNAL && (proto.name ?? "") === name) return proto;
    const fresh = { dims: [...this.dims], dataType: this.code };
    if (name !== "") fresh.name = name;
    if (proto?.docString) fresh.docString = proto.docString;
    if (proto?.metadataProps?.length) fresh.metadataProps = proto.metadataProps;
    if (this.dtype === "string") fresh.stringData = [...this.#data];
    else fresh.rawData = this.source;
    return fresh;
  }
  /** Code of the element type on the wire, also for types that are too new for `dtype`. */
  get code() {
    return this.dtype ? codeOf(this.dtype) : this.#proto?.dataType ?? 0;
  }
  /** True if the data lay in a file beside the model. */
  get isExternal() {
    return this.#proto?.dataLocation === EXTERNAL;
  }
  get elementCount() {
    return elementsIn(this.dims);
  }
  /** Bytes of the data (for strings the sum of their lengths). */
  get byteLength() {
    if (this.dtype === "string")
      return this.#data.reduce((sum, { length }) => sum + length, 0);
    return this.source.length;
  }
  /** The data without reading it. Throws for strings. */
  get source() {
    if (this.dtype === "string") throw new Error("string tensors have no bytes");
    return this.#data;
  }
  /** The raw data, read if it is still in a file; a view at any alignment. Do not write to it. */
  bytes() {
    return bytesOf(this.source);
  }
  /** The data of a float32 tensor, aligned (copied if the view is not). Do not write to it. */
  float32() {
    if (this.dtype !== "float32") throw new Error(`not a float32 tensor but ${this.dtype}`);
    const bytes = this.bytes();
    const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
    return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
  }
  /** The elements as JS numbers, for small tensors of any numeric type; 64-bit integers beyond 2^53 are rounded. */
  toNumbers() {
    return unpackNumbers(this.dtype, this.bytes(), this.elementCount);
  }
  /** The elements of a string tensor. */
  toStrings() {
    if (this.dtype !== "string") throw new Error(`not a string tensor but ${this.dtype}`);
    return this.#data.map((bytes) => new TextDecoder().decode(bytes));
  }
  /** The only element of a one-element numeric tensor, else undefined. */
  scalar() {
    if (this.elementCount !== 1 || !this.dtype || this.dtype === "string" || this.dtype.startsWith("float8"))
      return void 0;
    return this.toNumbers()[0];
  }
  /** The same data under another shape with as many elements. */
  reshaped(dims) {
    if (elementsIn(dims) !== this.elementCount) throw new Error(`[${this.dims}] can't be seen as [${dims}]`);
    return new _Tensor(this.dtype, dims, this.#data);
  }
};
function elementsIn(dims) {
  return dims.reduce((product, dim) => product * dim, 1);
}

// src/graph/node.ts
var Node = class {
  opType;
  /** '' is ai.onnx. */
  domain;
  name;
  graph;
  #inputs = [];
  #outputs = [];
  /** In file order. Change it freely; a subgraph that leaves must be discarded with `Graph.discard`. */
  attributes = /* @__PURE__ */ new Map();
  extra = void 0;
  /** For Graph only. */
  next = void 0;
  /** For Graph only. */
  previous = void 0;
  /** False once the node was removed from its graph. For Graph only to set. */
  isLinked = false;
  constructor(graph, opType, domain, name) {
    this.graph = graph;
    this.opType = opType;
    this.domain = domain;
    this.name = name;
  }
  /** True for `opType` of the standard domain, or of `domain`. */
  is(opType, domain = "") {
    return this.opType === opType && this.domain === domain;
  }
  /** `domain:Op`, or `Op` in the standard domain. */
  get qualifiedType() {
    return this.domain ? `${this.domain}:${this.opType}` : this.opType;
  }
  /** How to name the node to a person: its name, or its type and first output. */
  get label() {
    return this.name || `${this.opType} -> ${this.#outputs.find((value) => value)?.name ?? "(nothing)"}`;
  }
  get inputs() {
    return this.#inputs.map((use) => use?.value ?? null);
  }
  get inputCount() {
    return this.#inputs.length;
  }
  /** Input `index`, or undefined if it is left out. */
  input(index) {
    return this.#inputs[index]?.value;
  }
  get outputs() {
    return this.#outputs;
  }
  /** Output `index`. Throws if the node has none there: for outputs that the operator always has. */
  output(index = 0) {
    const value = this.#outputs[index];
    if (!value) throw new Error(`${this.label} has no output ${index}`);
    return value;
  }
  /** Makes input `index` read `value` (null: leave it out). Inputs beyond the last grow, trailing nulls vanish. */
  setInput(index, value) {
    while (this.#inputs.length <= index) this.#inputs.push(null);
    const old = this.#inputs[index];
    if (old) old.value.removeUse(old);
    const use = value && { node: this, index, value };
    if (use) value.addUse(use);
    this.#inputs[index] = use;
    if (!value) while (this.#inputs.length && !this.#inputs.at(-1)) this.#inputs.pop();
  }
  /** Replaces all inputs. */
  setInputs(values) {
    for (let i = this.#inputs.length - 1; i >= values.length; i--) this.setInput(i, null);
    values.forEach((value, i) => void this.setInput(i, value));
  }
  /** Binds output `index` to a value without producer. For Graph and import; new outputs come with `Graph.insert`. */
  setOutput(index, value) {
    while (this.#outputs.length <= index) this.#outputs.push(null);
    this.#outputs[index] = value;
    if (value) {
      value.producer = this;
      value.outputIndex = index;
    }
  }
  /** Appends inputs as they stand in a file, nulls included. For import only. */
  loadInputs(values) {
    for (const [index, value] of values.entries()) {
      const use = value && { node: this, index, value };
      if (use) value.addUse(use);
      this.#inputs.push(use);
    }
  }
  int(name, fallback) {
    const value = this.#attribute(name, "int");
    return value === void 0 ? fallback : Number(value);
  }
  float(name, fallback) {
    return this.#attribute(name, "float") ?? fallback;
  }
  string(name, fallback) {
    const value = this.#attribute(name, "string") ?? fallback;
    return value instanceof Uint8Array ? new TextDecoder().decode(value) : value;
  }
  /** List of integers, or undefined if it is not there. */
  ints(name) {
    return this.#attribute(name, "ints")?.map(Number);
  }
  /** List of floats, or undefined if it is not there. */
  floats(name) {
    return this.#attribute(name, "floats");
  }
  /** Tensor attribute, or undefined if it is not there. */
  tensor(name) {
    return this.#attribute(name, "tensor");
  }
  #attribute(name, kind) {
    const attribute = this.attributes.get(name);
    if (!attribute) return void 0;
    if (attribute.kind === kind) return attribute.value;
    if (attribute.kind === "reference") return void 0;
    throw new OnnxError("NODE_INVALID", `attribute "${name}" is a ${attribute.kind}, not a ${kind}`, {
      place: { node: this.label }
    });
  }
  /** The subgraphs of the node (If branches, Loop and Scan bodies). */
  get subgraphs() {
    const graphs = [];
    for (const attribute of this.attributes.values()) {
      if (attribute.kind === "graph") graphs.push(attribute.value);
      else if (attribute.kind === "graphs") graphs.push(...attribute.value);
    }
    return graphs;
  }
  /** The data of a Constant node as a tensor, or undefined for kinds that have no dense tensor. */
  constantTensor() {
    const [name, attribute] = this.attributes.entries().next().value ?? [];
    switch (attribute?.kind) {
      case "tensor":
        return name === "value" ? attribute.value : void 0;
      case "float":
        return Tensor.float32([], [attribute.value]);
      case "floats":
        return Tensor.float32([attribute.value.length], attribute.value);
      case "int":
        return Tensor.int64([attribute.value], []);
      case "ints":
        return Tensor.int64(attribute.value);
      case "string":
      case "strings": {
        const list = attribute.kind === "string" ? [attribute.value] : attribute.value;
        if (!list.every((item) => typeof item === "string")) return void 0;
        return Tensor.strings(attribute.kind === "string" ? [] : [list.length], list);
      }
      default:
        return void 0;
    }
  }
};

// src/graph/value.ts
var Value = class {
  name;
  graph;
  /** The node that computes it; undefined for inputs and initializers. */
  producer = void 0;
  /** Which output of `producer` it is. */
  outputIndex = 0;
  /** Data of an initializer. */
  tensor = void 0;
  /** Data of a sparse initializer, carried along. */
  sparse = void 0;
  /** True if the caller of the graph feeds it (with `tensor`: may feed it). */
  isInput = false;
  /** True if the file states its type in `value_info`. */
  isDeclared = false;
  extra = void 0;
  #uses = /* @__PURE__ */ new Set();
  /** How often it stands in the outputs of a graph. Kept by Graph. */
  outputCount = 0;
  #type;
  constructor(graph, name, type) {
    this.graph = graph;
    this.name = name;
    this.#type = type;
  }
  get type() {
    return this.#type;
  }
  set type(type) {
    this.#type = type;
    if (this.extra) delete this.extra.typeProto;
  }
  /** Element type, if known. Initializers know theirs. */
  get dtype() {
    if (this.tensor) return this.tensor.dtype;
    return this.#type?.kind === "tensor" ? this.#type.dtype : void 0;
  }
  /** Shape, if the rank is known. Initializers know theirs. */
  get shape() {
    if (this.tensor) return this.tensor.dims;
    return this.#type?.kind === "tensor" ? this.#type.shape : void 0;
  }
  /** True if the element type is known to be a floating-point one. */
  get isFloat() {
    return isFloat(this.dtype);
  }
  get rank() {
    return this.shape?.length;
  }
  /** Every place that reads the value, in subgraphs too; graph outputs are not among them. */
  get uses() {
    return this.#uses;
  }
  /** True if the value is an output of a graph. */
  get isOutput() {
    return this.outputCount > 0;
  }
  /** True if nothing reads the value and no graph returns it. */
  get isUnused() {
    return this.#uses.size === 0 && this.outputCount === 0;
  }
  /** The only node that reads the value, if it is read once and is no graph output. */
  get onlyUser() {
    if (this.#uses.size !== 1 || this.outputCount > 0) return void 0;
    return this.#uses.values().next().value?.node;
  }
  /** The nodes that read the value, each once. */
  get users() {
    return [...new Set([...this.#uses].map(({ node }) => node))];
  }
  /**
   * The tensor if the value never changes: an initializer that callers can't override, or the output of a Constant node.
   * Numbers given as attributes (`value_float`, `value_ints` ...) come as tensors too.
   */
  get constant() {
    if (this.tensor) return this.isInput && this.graph.model.initializersAreOverridable ? void 0 : this.tensor;
    return this.producer?.opType === "Constant" && this.producer.domain === "" ? this.producer.constantTensor() : void 0;
  }
  /** Makes every reader of this value read `other` instead. Graph outputs stay: see `Graph.replace`. */
  replaceUses(other) {
    for (const { node, index } of [...this.#uses]) node.setInput(index, other);
  }
  /** For Node only. */
  addUse(use) {
    this.#uses.add(use);
  }
  /** For Node only. */
  removeUse(use) {
    this.#uses.delete(use);
  }
};

// src/graph/graph.ts
var Graph = class {
  model;
  /** The node whose attribute this graph is; undefined for main graphs and functions. */
  owner;
  name;
  #inputs = [];
  #outputs = [];
  #initializers = /* @__PURE__ */ new Set();
  #infos = /* @__PURE__ */ new Set();
  extra = void 0;
  #first = void 0;
  #last = void 0;
  #size = 0;
  constructor(model, name, owner) {
    this.model = model;
    this.name = name;
    this.owner = owner;
  }
  get inputs() {
    return this.#inputs;
  }
  get outputs() {
    return this.#outputs;
  }
  /** Dense and sparse initializers, in file order; those that are also inputs have `isInput`. */
  get initializers() {
    return this.#initializers;
  }
  /** Values whose type the file declares in `value_info`, in file order. */
  get declared() {
    return this.#infos;
  }
  get nodeCount() {
    return this.#size;
  }
  get firstNode() {
    return this.#first;
  }
  get lastNode() {
    return this.#last;
  }
  /** The nodes in order. Nodes may be removed and inserted meanwhile. */
  *nodes() {
    for (let node = this.#first; node; ) {
      yield node;
      do
        node = node.next;
      while (node && !node.isLinked);
    }
  }
  /** The nodes of this graph and, recursively, of the subgraphs of its nodes. */
  *allNodes() {
    for (const node of this.nodes()) {
      yield node;
      for (const graph of node.subgraphs) yield* graph.allNodes();
    }
  }
  /** This graph and all graphs below it. */
  *allGraphs() {
    yield this;
    for (const node of this.nodes()) for (const graph of node.subgraphs) yield* graph.allGraphs();
  }
  /** Inserts a new node and returns it. Its outputs are fresh values with unique names. */
  insert(wanted, position = {}) {
    const { names } = this.model;
    const wish = wanted.name ?? wanted.op;
    const node = new Node(this, wanted.op, wanted.domain ?? "", names.fresh(wish));
    node.setInputs(wanted.inputs);
    for (const [name, value] of Object.entries(wanted.attributes ?? {})) if (value) node.attributes.set(name, value);
    const count = typeof wanted.outputs === "number" ? wanted.outputs : 1;
    const outputs = Array.isArray(wanted.outputs) ? wanted.outputs : Array.from({ length: count }, (_, i) => count === 1 ? `${node.name}_output` : `${node.name}_output_${i}`);
    outputs.forEach((name, i) => {
      node.setOutput(i, name === null ? null : new Value(this, names.fresh(name), wanted.types?.[i]));
    });
    this.link(node, position);
    return node;
  }
  /** Puts an unlinked node into the list. For import and `insert`. */
  link(node, { before, after } = {}) {
    const previous = before ? before.previous : after ?? this.#last;
    const next = before ?? (after ? after.next : void 0);
    node.previous = previous;
    node.next = next;
    if (previous) previous.next = node;
    else this.#first = node;
    if (next) next.previous = node;
    else this.#last = node;
    node.isLinked = true;
    this.#size++;
  }
  /**
   * Removes a node together with its outputs (and its subgraphs). Throws if one of the outputs is still used.
   */
  remove(node) {
    const used = node.outputs.find((value) => value && !value.isUnused);
    if (used) throw new Error(`${node.label} can't be removed: "${used.name}" is still used`);
    node.setInputs([]);
    for (const graph of node.subgraphs) graph.discard();
    for (const value of node.outputs) if (value) this.undeclare(value);
    this.#unlink(node);
  }
  /** Takes a node out of the list and puts it elsewhere in the same graph. */
  move(node, position) {
    this.#unlink(node);
    this.link(node, position);
  }
  #unlink(node) {
    if (node.previous) node.previous.next = node.next;
    else this.#first = node.next;
    if (node.next) node.next.previous = node.previous;
    else this.#last = node.previous;
    node.isLinked = false;
    this.#size--;
  }
  /** Gives up every use that nodes of this graph make of values, so that it can be thrown away. */
  discard() {
    for (const node of this.allNodes()) node.setInputs([]);
    for (let i = this.#outputs.length - 1; i >= 0; i--) this.#outputs[i].outputCount--;
    this.#outputs.length = 0;
  }
  addInput(name, type, index = this.#inputs.length) {
    const value = new Value(this, name, type);
    this.registerInput(value, index);
    return value;
  }
  /** Makes an existing value (an initializer) an input too. */
  registerInput(value, index = this.#inputs.length) {
    value.isInput = true;
    this.#inputs.splice(index, 0, value);
  }
  /** Takes a value out of the inputs. An initializer stays one. */
  removeInput(value) {
    value.isInput = false;
    this.#inputs.splice(this.#inputs.indexOf(value), 1);
  }
  /** Adds an initializer under a unique name made from `name`. */
  addInitializer(name, tensor) {
    const value = new Value(this, this.model.names.fresh(name));
    this.setInitializer(value, tensor);
    return value;
  }
  /** Gives a value data, or other data. */
  setInitializer(value, tensor) {
    value.tensor = tensor;
    this.#initializers.add(value);
  }
  /** For import: a sparse initializer, carried along. */
  setSparse(value, sparse) {
    value.sparse = sparse;
    this.#initializers.add(value);
  }
  /** Removes an initializer. It must be unused, or an input. */
  removeInitializer(value) {
    if (!value.isInput && !value.isUnused) throw new Error(`initializer "${value.name}" is still used`);
    value.tensor = void 0;
    value.sparse = void 0;
    this.#initializers.delete(value);
    this.undeclare(value);
  }
  /** States a value's type in `value_info` when the model is written. */
  declare(value) {
    value.isDeclared = true;
    this.#infos.add(value);
  }
  undeclare(value) {
    value.isDeclared = false;
    this.#infos.delete(value);
  }
  addOutput(value, index = this.#outputs.length) {
    value.outputCount++;
    this.#outputs.splice(index, 0, value);
  }
  removeOutput(index) {
    this.#outputs.splice(index, 1)[0].outputCount--;
  }
  /** Makes output `index` of the graph another value. The name that callers see changes with it: see `replace`. */
  setOutput(index, value) {
    this.#outputs[index].outputCount--;
    value.outputCount++;
    this.#outputs[index] = value;
  }
  /**
   * Makes `fresh` take the place of `old` everywhere: for its readers and, if `old` is an output of this graph, as output
   * under the same name. Where `fresh` can't take that name (it is an input, an initializer, of another graph, or an output
   * itself) an Identity in between carries it. `old` stays behind unused.
   */
  replace(old, fresh) {
    if (old === fresh) return;
    old.replaceUses(fresh);
    if (!old.isOutput) return;
    const free = fresh.graph === this && fresh.producer && !fresh.isOutput && !fresh.isInput && !fresh.tensor;
    let output = fresh;
    if (!free) {
      const after = fresh.graph === this ? fresh.producer : void 0;
      const position = after ? { after } : { before: this.#first };
      output = this.insert({ op: "Identity", inputs: [fresh], types: [fresh.type ?? old.type] }, position).output();
    }
    const name = output.name;
    output.name = old.name;
    old.name = name;
    if (old.type) output.type = old.type;
    output.extra = old.extra;
    this.#outputs.forEach((value, i) => {
      if (value === old) this.setOutput(i, output);
    });
  }
  /**
   * Puts the nodes into topological order, changing as little as possible: nodes that are in order keep it.
   *
   * @returns true if the order changed
   * @throws OnnxError if the graph has a cycle, naming nodes on it
   */
  sort() {
    const waiting = /* @__PURE__ */ new Map();
    const order = /* @__PURE__ */ new Map();
    let position = 0;
    let sorted = true;
    const seen = /* @__PURE__ */ new Set();
    for (const node of this.nodes()) {
      order.set(node, position++);
      const producers = this.#producersOf(node);
      for (const producer of producers) if (!seen.has(producer)) sorted = false;
      waiting.set(node, producers.size);
      seen.add(node);
    }
    if (sorted) return false;
    const ready = new Heap((a, b) => order.get(a) - order.get(b));
    const readers = /* @__PURE__ */ new Map();
    for (const node of waiting.keys()) {
      for (const producer of this.#producersOf(node)) {
        const list = readers.get(producer);
        if (list) list.push(node);
        else readers.set(producer, [node]);
      }
      if (waiting.get(node) === 0) ready.push(node);
    }
    const result = [];
    for (let node = ready.pop(); node; node = ready.pop()) {
      result.push(node);
      waiting.delete(node);
      for (const reader of readers.get(node) ?? []) {
        const left = waiting.get(reader) - 1;
        waiting.set(reader, left);
        if (left === 0) ready.push(reader);
      }
    }
    if (waiting.size) throw cycle([...waiting.keys()]);
    this.#relink(result);
    return true;
  }
  #relink(nodes) {
    nodes.forEach((node, i) => {
      node.previous = nodes[i - 1];
      node.next = nodes[i + 1];
    });
    this.#first = nodes[0];
    this.#last = nodes.at(-1);
  }
  /** The nodes of this graph whose outputs `node` (or a subgraph of it) reads. */
  #producersOf(node) {
    const producers = /* @__PURE__ */ new Set();
    const collect = (reader) => {
      for (const value of reader.inputs) if (value?.producer && value.graph === this) producers.add(value.producer);
      for (const graph of reader.subgraphs) {
        for (const inner of graph.nodes()) collect(inner);
        for (const value of graph.outputs) if (value.producer && value.graph === this) producers.add(value.producer);
      }
    };
    collect(node);
    return producers;
  }
};
function cycle(nodes) {
  const named = nodes.slice(0, 5).map(({ label }) => label);
  return new OnnxError(
    "GRAPH_CYCLE",
    `the graph has a cycle through ${named.join(", ")}${nodes.length > 5 ? ", ..." : ""}`,
    {
      place: { node: named[0] },
      hint: "No runtime can execute it. Export the model again."
    }
  );
}
var Heap = class {
  #items = [];
  #compare;
  constructor(compare) {
    this.#compare = compare;
  }
  push(item) {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = at - 1 >> 1;
      if (this.#compare(items[at], items[parent]) >= 0) break;
      [items[at], items[parent]] = [items[parent], items[at]];
      at = parent;
    }
  }
  pop() {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (items.length && last !== void 0) {
      items[0] = last;
      for (let at = 0; ; ) {
        let least = at;
        for (const child of [2 * at + 1, 2 * at + 2])
          if (child < items.length && this.#compare(items[child], items[least]) < 0) least = child;
        if (least === at) break;
        [items[at], items[least]] = [items[least], items[at]];
        at = least;
      }
    }
    return top;
  }
};

// src/graph/names.ts
var Names = class {
  #taken = /* @__PURE__ */ new Set();
  #next = /* @__PURE__ */ new Map();
  /** Marks a name of the model as taken. */
  reserve(name) {
    this.#taken.add(name);
  }
  /** `wish` itself if it is free, else `wish_1`, `wish_2`, ... */
  fresh(wish) {
    let name = wish;
    while (this.#taken.has(name) || name === "") {
      const n = (this.#next.get(wish) ?? 0) + 1;
      this.#next.set(wish, n);
      name = `${wish}_${n}`;
    }
    this.#taken.add(name);
    return name;
  }
};

// src/graph/model.ts
var Model = class {
  irVersion;
  /** Version by domain; '' is ai.onnx. */
  opsets = /* @__PURE__ */ new Map();
  graph;
  functions = [];
  metadata = /* @__PURE__ */ new Map();
  names = new Names();
  extra = {};
  /** The file it was read from, for error messages and for relative paths. */
  file;
  constructor(options = {}) {
    this.irVersion = options.irVersion ?? 8;
    if (options.opset) this.opsets.set("", options.opset);
    this.file = options.file;
    this.graph = new Graph(this, options.name ?? "main");
  }
  /** Version of the standard operator set (1 if the model does not say). */
  get opset() {
    return this.opsets.get("") ?? this.opsets.get("ai.onnx") ?? 1;
  }
  /** Before IR version 4 every initializer is also an input, and always a constant. */
  get initializersAreOverridable() {
    return this.irVersion >= 4;
  }
  /** Declares that the model uses a domain, where it does not yet. */
  useDomain(domain, version = 1) {
    if (!this.opsets.has(domain)) this.opsets.set(domain, version);
  }
  /** Main graph, its subgraphs, function bodies and theirs. */
  *allGraphs() {
    yield* this.graph.allGraphs();
    for (const { graph } of this.functions) yield* graph.allGraphs();
  }
  /** Every node of every graph. */
  *allNodes() {
    yield* this.graph.allNodes();
    for (const { graph } of this.functions) yield* graph.allNodes();
  }
  /** Node count by operator (`domain:Op` outside ai.onnx), sorted by name, subgraphs included, functions not. */
  histogram() {
    const counts = /* @__PURE__ */ new Map();
    for (const { qualifiedType } of this.graph.allNodes())
      counts.set(qualifiedType, (counts.get(qualifiedType) ?? 0) + 1);
    return Object.fromEntries([...counts].sort(([a], [b]) => a < b ? -1 : 1));
  }
};

// src/graph/types.ts
function dimFrom(proto) {
  if (Object.hasOwn(proto, "dimValue")) return Number(proto.dimValue);
  return proto.dimParam || null;
}
function tensorFrom(kind, proto) {
  const dtype = dtypeOf(proto.elemType ?? 0);
  return proto.shape ? { kind, dtype, shape: (proto.shape.dim ?? []).map(dimFrom) } : { kind, dtype };
}
function typeFromProto(proto) {
  if (!proto) return void 0;
  if (proto.tensorType) return tensorFrom("tensor", proto.tensorType);
  if (proto.sparseTensorType) return tensorFrom("sparse", proto.sparseTensorType);
  if (proto.sequenceType) return { kind: "sequence", element: typeFromProto(proto.sequenceType.elemType) };
  if (proto.optionalType) return { kind: "optional", element: typeFromProto(proto.optionalType.elemType) };
  if (proto.mapType)
    return { kind: "map", key: dtypeOf(proto.mapType.keyType ?? 0), value: typeFromProto(proto.mapType.valueType) };
  return proto.opaqueType ? { kind: "opaque" } : void 0;
}
function typeToProto(type) {
  const elemType = (dtype) => dtype ? codeOf(dtype) : 0;
  const element = (inner) => inner ? { elemType: typeToProto(inner) } : {};
  switch (type.kind) {
    case "tensor":
    case "sparse": {
      const proto = { elemType: elemType(type.dtype) };
      if (type.shape)
        proto.shape = {
          dim: type.shape.map(
            (dim) => typeof dim === "number" ? { dimValue: dim } : dim === null ? {} : { dimParam: dim }
          )
        };
      return type.kind === "tensor" ? { tensorType: proto } : { sparseTensorType: proto };
    }
    case "sequence":
      return { sequenceType: element(type.element) };
    case "optional":
      return { optionalType: element(type.element) };
    case "map":
      return { mapType: { keyType: elemType(type.key), ...type.value ? { valueType: typeToProto(type.value) } : {} } };
    case "opaque":
      return { opaqueType: {} };
  }
}

// src/graph/import.ts
function readModel(file) {
  return modelFromProto(decodeFile(file), file);
}
var ATTRIBUTE_CODES = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
  sparse_tensor: 11,
  sparse_tensors: 12,
  type_proto: 13,
  type_protos: 14
};
function modelFromProto(proto, file) {
  const model = new Model({ irVersion: Number(proto.irVersion ?? 0), name: proto.graph?.name ?? "", file });
  for (const { domain, version } of proto.opsetImport ?? []) model.opsets.set(domain ?? "", Number(version));
  for (const { key, value } of proto.metadataProps ?? []) model.metadata.set(key ?? "", value ?? "");
  const { graph: _graph, functions: _functions, opsetImport: _o, irVersion: _i, metadataProps: _m, ...extra } = proto;
  model.extra = carry(proto, extra);
  model.extra.opsetProtos = new Map((proto.opsetImport ?? []).map((entry) => [entry.domain ?? "", entry]));
  const reader = new GraphReader(model, file);
  reader.fill(model.graph, proto.graph, void 0);
  for (const fn of proto.functions ?? []) {
    const graph = new Graph(model, fn.name ?? "");
    const body = {
      input: (fn.input ?? []).map((name) => ({ name })),
      output: (fn.output ?? []).map((name) => ({ name }))
    };
    if (fn.node?.length) body.node = fn.node;
    if (fn.valueInfo?.length) body.valueInfo = fn.valueInfo;
    reader.fill(graph, body, void 0);
    const local = {
      name: fn.name ?? "",
      domain: fn.domain ?? "",
      overload: fn.overload ?? "",
      graph,
      attributes: [...fn.attribute ?? []],
      defaults: [...fn.attributeProto ?? []],
      opsets: new Map((fn.opsetImport ?? []).map(({ domain, version }) => [domain ?? "", Number(version)])),
      extra: carry(fn, pick(fn, ["docString", "metadataProps"]))
    };
    model.functions.push(local);
  }
  return model;
}
function carry(proto, extra) {
  return proto.$unknowns ? { ...extra, $unknowns: proto.$unknowns } : extra;
}
function pick(proto, keys) {
  const picked = {};
  for (const key of keys) if (Object.hasOwn(proto, key)) picked[key] = proto[key];
  return picked;
}
var GraphReader = class {
  #model;
  #file;
  constructor(model, file) {
    this.#model = model;
    this.#file = file;
  }
  fill(graph, proto, parent) {
    const scope = { values: /* @__PURE__ */ new Map(), parent };
    const extra = carry(proto, pick(proto, ["docString", "quantizationAnnotation", "metadataProps"]));
    if (Object.keys(extra).length) graph.extra = extra;
    for (const info of proto.input ?? []) {
      const value = this.#define(graph, scope, info.name ?? "", "graph input");
      describe(value, info);
      graph.registerInput(value);
    }
    for (const tensor of proto.initializer ?? []) {
      const name = tensor.name ?? "";
      const value = this.#initializer(graph, scope, name);
      graph.setInitializer(value, Tensor.fromProto(tensor, this.#file));
    }
    for (const sparse of proto.sparseInitializer ?? [])
      graph.setSparse(this.#initializer(graph, scope, sparse.values?.name ?? ""), sparse);
    const lastConstant = /* @__PURE__ */ new Map();
    for (const node of proto.node ?? []) if (node.opType === "Constant") lastConstant.set(node.output?.[0] ?? "", node);
    const wires = (proto.node ?? []).filter((node) => {
      const name = node.output?.[0] ?? "";
      return node.opType !== "Constant" || lastConstant.get(name) === node && !scope.values.get(name)?.tensor;
    });
    const nodes = wires.map((node) => this.#node(graph, scope, node));
    for (const [node, wire] of nodes) this.#connect(node, wire, scope);
    for (const info of proto.output ?? []) {
      const value = this.#find(scope, info.name ?? "");
      if (!value)
        throw new OnnxError("GRAPH_INVALID", `nothing computes the graph output "${info.name}"`, {
          place: { file: this.#file },
          hint: "The model is incomplete. Export it again."
        });
      if (value.graph === graph && !value.isOutput && !value.isInput) describe(value, info);
      graph.addOutput(value);
    }
    for (const info of proto.valueInfo ?? []) {
      const value = scope.values.get(info.name ?? "");
      if (!value || value.isInput || value.isOutput || value.isDeclared) {
        graph.extra ??= {};
        graph.extra.strayInfos ??= [];
        graph.extra.strayInfos.push(info);
        this.#model.names.reserve(info.name ?? "");
      } else {
        describe(value, info);
        graph.declare(value);
      }
    }
    if (!parent) this.#checkOrder(graph);
  }
  /** A cyclic graph has no order; finding out now gives a clear error. The order itself is left alone. */
  #checkOrder(graph) {
    const before = [...graph.nodes()];
    try {
      if (graph.sort()) for (const node of before) graph.move(node, {});
    } catch (error) {
      throw error instanceof OnnxError ? error.at({ file: this.#file }) : error;
    }
  }
  #define(graph, scope, name, what) {
    if (scope.values.has(name))
      throw new OnnxError("GRAPH_INVALID", `two values are called "${name}" (the second: ${what})`, {
        place: { file: this.#file },
        hint: "Names must be unique. Export the model again."
      });
    const value = new Value(graph, name);
    scope.values.set(name, value);
    this.#model.names.reserve(name);
    return value;
  }
  #initializer(graph, scope, name) {
    const input = scope.values.get(name);
    return input?.isInput && !input.tensor && !input.sparse ? input : this.#define(graph, scope, name, "initializer");
  }
  #find(scope, name) {
    for (let at = scope; at; at = at.parent) {
      const value = at.values.get(name);
      if (value) return value;
    }
    return void 0;
  }
  #node(graph, scope, proto) {
    const node = new Node(graph, proto.opType ?? "", proto.domain ?? "", proto.name ?? "");
    if (node.name) this.#model.names.reserve(node.name);
    const extra = carry(
      proto,
      pick(proto, ["overload", "docString", "metadataProps", "deviceConfigurations"])
    );
    if (Object.keys(extra).length) node.extra = extra;
    graph.link(node);
    for (const [i, name] of (proto.output ?? []).entries())
      node.setOutput(i, name === "" ? null : this.#define(graph, scope, name, `output of ${node.name || node.opType}`));
    return [node, proto];
  }
  #connect(node, proto, scope) {
    node.loadInputs(
      (proto.input ?? []).map((name) => {
        if (name === "") return null;
        const value = this.#find(scope, name);
        if (value) return value;
        throw new OnnxError("GRAPH_INVALID", `the node reads "${name}", which nothing computes`, {
          place: { file: this.#file, node: node.label },
          hint: "The model is incomplete. Export it again."
        });
      })
    );
    for (const attribute of proto.attribute ?? []) {
      const value = this.#attribute(node, attribute, scope);
      node.attributes.set(attribute.name ?? "", value);
      node.extra ??= {};
      node.extra.attributeProtos ??= /* @__PURE__ */ new Map();
      node.extra.attributeProtos.set(value, attribute);
    }
  }
  #attribute(node, proto, scope) {
    if (proto.refAttrName) return { kind: "reference", value: proto.refAttrName, type: proto.type ?? 0 };
    const code = proto.type || impliedCode(proto);
    const tensorOf = (tensor) => Tensor.fromProto(tensor, this.#file);
    const graphOf = (body) => {
      const graph = new Graph(this.#model, body.name ?? "", node);
      this.fill(graph, body, scope);
      return graph;
    };
    switch (code) {
      case ATTRIBUTE_CODES.float:
        return { kind: "float", value: proto.f ?? 0 };
      case ATTRIBUTE_CODES.int:
        return { kind: "int", value: proto.i ?? 0 };
      case ATTRIBUTE_CODES.string:
        return { kind: "string", value: textOf(proto.s ?? new Uint8Array()) };
      case ATTRIBUTE_CODES.tensor:
        if (proto.t) return { kind: "tensor", value: tensorOf(proto.t) };
        break;
      case ATTRIBUTE_CODES.graph:
        if (proto.g) return { kind: "graph", value: graphOf(proto.g) };
        break;
      case ATTRIBUTE_CODES.sparse_tensor:
        if (proto.sparseTensor) return { kind: "sparse_tensor", value: proto.sparseTensor };
        break;
      case ATTRIBUTE_CODES.type_proto:
        if (proto.tp) return { kind: "type_proto", value: proto.tp };
        break;
      case ATTRIBUTE_CODES.floats:
        return { kind: "floats", value: proto.floats ?? [] };
      case ATTRIBUTE_CODES.ints:
        return { kind: "ints", value: proto.ints ?? [] };
      case ATTRIBUTE_CODES.strings:
        return { kind: "strings", value: (proto.strings ?? []).map(textOf) };
      case ATTRIBUTE_CODES.tensors:
        return { kind: "tensors", value: (proto.tensors ?? []).map(tensorOf) };
      case ATTRIBUTE_CODES.graphs:
        return { kind: "graphs", value: (proto.graphs ?? []).map(graphOf) };
      case ATTRIBUTE_CODES.sparse_tensors:
        return { kind: "sparse_tensors", value: proto.sparseTensors ?? [] };
      case ATTRIBUTE_CODES.type_protos:
        return { kind: "type_protos", value: proto.typeProtos ?? [] };
    }
    throw new OnnxError("NODE_INVALID", `attribute "${proto.name}" has no value of its kind (${code})`, {
      place: { file: this.#file, node: node.label },
      hint: "The model is damaged or newer than this version understands."
    });
  }
};
function impliedCode(proto) {
  const fields = {
    f: "float",
    i: "int",
    s: "string",
    t: "tensor",
    g: "graph",
    floats: "floats",
    ints: "ints",
    strings: "strings",
    tensors: "tensors",
    graphs: "graphs",
    sparseTensor: "sparse_tensor",
    tp: "type_proto"
  };
  for (const [field, kind] of Object.entries(fields)) if (Object.hasOwn(proto, field)) return ATTRIBUTE_CODES[kind];
  return 0;
}
var utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
function textOf(bytes) {
  try {
    return utf8.decode(bytes);
  } catch {
    return bytes;
  }
}
function describe(value, info) {
  const type = typeFromProto(info.type);
  if (type) value.type = type;
  value.extra = carry(info, pick(info, ["docString", "metadataProps"]));
  if (info.type) value.extra.typeProto = info.type;
}

// src/graph/dims.ts
function addDims(a, b, sign = 1) {
  if (a === null || b === null) return null;
  const terms = linear(a);
  for (const [name, factor] of linear(b)) terms.set(name, (terms.get(name) ?? 0) + sign * factor);
  const number = terms.get("") ?? 0;
  const names = [...terms].filter(([name, factor]) => name && factor).sort(([x], [y]) => x < y ? -1 : 1);
  if (!names.length) return number;
  if (number === 0 && names.length === 1 && names[0][1] === 1) return names[0][0];
  const parts = [
    ...names.map(([name, factor]) => factor === 1 ? name : `${factor} ${name}`),
    ...number ? [`${number}`] : []
  ];
  return `(${parts.join(" + ")})`;
}
function linear(dim) {
  if (typeof dim === "number") return /* @__PURE__ */ new Map([["", dim]]);
  if (!/^\(.* \+ .*\)$/.test(dim)) return /* @__PURE__ */ new Map([[dim, 1]]);
  return new Map(
    dim.slice(1, -1).split(" + ").map((part) => {
      const [, factor, name] = /^(-?\d+)(?: (.+))?$/.exec(part) ?? [];
      return factor === void 0 ? [part, 1] : [name ?? "", Number(factor)];
    })
  );
}
function multiplyDims(dims) {
  const all = factorsOf(dims);
  if (!all) return null;
  if (!all.names.length || all.number === 0) return all.number;
  return all.number === 1 ? all.names.join("*") : `${all.number}*${all.names.join("*")}`;
}
function divideDims(whole, parts) {
  const [top, bottom] = [factorsOf(whole), factorsOf(parts)];
  if (!top || !bottom || bottom.number === 0 || top.number % bottom.number) return null;
  const names = [...top.names];
  for (const name of bottom.names) {
    const at = names.indexOf(name);
    if (at < 0) return null;
    names.splice(at, 1);
  }
  return multiplyDims([top.number / bottom.number, ...names]);
}
function factorsOf(dims) {
  let number = 1;
  const names = [];
  for (const dim of dims) {
    if (dim === null) return void 0;
    if (typeof dim === "number") number *= dim;
    else
      for (const factor of dim.split("*")) {
        if (/^\d+$/.test(factor)) number *= Number(factor);
        else names.push(factor);
      }
  }
  return { number, names: names.sort() };
}
function broadcast(a, b) {
  const rank = Math.max(a.length, b.length);
  const at = (shape, i) => {
    const index = i - rank + shape.length;
    return index < 0 ? 1 : shape[index] ?? null;
  };
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [at(a, i), at(b, i)];
    if (x === y || y === 1) return x;
    if (x === 1) return y;
    return typeof x === "number" ? x : typeof y === "number" ? y : null;
  });
}
function sliceLength(size, start, end) {
  const toEnd = typeof end === "number" && end >= 2 ** 31 - 1;
  if (typeof start === "number" && start < 0 && typeof size !== "number") return toEnd ? -start : null;
  if (toEnd)
    return typeof size === "number" && typeof start === "number" ? Math.max(0, size - start) : addDims(size, start, -1);
  if (typeof size === "number" && typeof start === "number" && typeof end === "number") {
    const clamp = (at) => Math.min(Math.max(at < 0 ? at + size : at, 0), size);
    return Math.max(0, clamp(end) - clamp(start));
  }
  return typeof end === "string" ? addDims(end, start, -1) : null;
}

// src/graph/shapes.ts
var CONTENT_LIMIT = 64;
var UNARY = new Set(
  `Abs BatchNormalization Cast Ceil Clip Cos Elu Erf Exp Floor Gelu HardSigmoid Identity InstanceNormalization LayerNormalization
   LeakyRelu Log LogSoftmax Neg Not RMSNormalization Reciprocal Relu Round Sigmoid Sign SimplifiedLayerNormalization Sin Softmax
   Softplus Sqrt Tanh Trilu BiasGelu FastGelu QuickGelu SkipLayerNormalization SkipSimplifiedLayerNormalization CumSum`.split(
    /\s+/
  )
);
var BINARY = new Set(
  `Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Min Mod Mul Or Pow Sub Sum Where Xor`.split(/\s+/)
);
function propagateShapes(model) {
  const known = { shapes: /* @__PURE__ */ new Map(), contents: /* @__PURE__ */ new Map() };
  for (const graph of model.allGraphs()) visit(graph, known);
}
function visit(graph, known) {
  for (const input of graph.inputs)
    if (input.shape)
      known.shapes.set(
        input,
        input.shape.map((dim, i) => dim ?? `${input.name}[${i}]`)
      );
  for (const node of graph.nodes()) {
    const reader = new Reader2(node, known);
    const output = node.outputs[0];
    if (!output || node.domain === "ai.onnx.ml") continue;
    const contents = reader.contents();
    if (contents && contents.length <= CONTENT_LIMIT) known.contents.set(output, contents);
    const shape = reader.shape();
    if (shape) {
      for (const each of node.opType === "Split" ? node.outputs : [output]) if (each) refine(each, shape, known);
    }
  }
}
function refine(value, found, known) {
  const before = value.shape;
  if (before && before.length !== found.length) return;
  const shape = found.map((dim, i) => typeof before?.[i] === "number" ? before[i] : dim ?? before?.[i] ?? null);
  if (value.isOutput || value.isInput) known.shapes.set(value, shape);
  else if (value.type?.kind === "tensor" && shape.some((dim, i) => dim !== before?.[i]))
    value.type = { ...value.type, shape };
}
var Reader2 = class {
  #node;
  #known;
  constructor(node, known) {
    this.#node = node;
    this.#known = known;
  }
  #shapeOf(index) {
    const value = this.#node.input(index);
    return value && (this.#known.shapes.get(value) ?? value.shape);
  }
  #contentsOf(index) {
    const value = this.#node.input(index);
    if (!value) return void 0;
    const known = this.#known.contents.get(value);
    if (known) return known;
    const tensor = value.constant;
    const whole = tensor?.dtype && /^(u?int|bool)/.test(tensor.dtype) && tensor.elementCount <= CONTENT_LIMIT;
    return whole ? tensor.toNumbers() : void 0;
  }
  #integers(index, attribute) {
    const list = this.#node.ints(attribute) ?? this.#contentsOf(index);
    return list?.every((item) => typeof item === "number") ? [...list] : void 0;
  }
  contents() {
    const node = this.#node;
    const first = this.#contentsOf(0);
    switch (node.opType) {
      case "Shape": {
        const shape = this.#shapeOf(0);
        return shape?.slice(node.int("start", 0), node.int("end") ?? shape.length);
      }
      case "Cast":
        return /^(u?int|bool)/.test(dtypeOf(node.int("to", 0)) ?? "") ? first : void 0;
      case "Identity":
      case "Squeeze":
      case "Unsqueeze":
      case "Reshape":
        return first;
      case "Gather": {
        const indices = this.#integers(1, "");
        return first && indices?.map((index) => first.at(index) ?? null);
      }
      case "Concat": {
        const parts = node.inputs.map((_, i) => this.#contentsOf(i));
        return parts.every((part) => part !== void 0) ? parts.flat() : void 0;
      }
      case "Slice": {
        const [start, end, step] = [this.#integers(1, "starts"), this.#integers(2, "ends"), this.#integers(4, "steps")];
        if (!first || start?.length !== 1 || end?.length !== 1 || step && step[0] !== 1) return void 0;
        return first.slice(start[0], end[0]);
      }
      case "ConstantOfShape": {
        const count = first?.length === 1 ? first[0] : void 0;
        const fill = node.tensor("value")?.scalar() ?? 0;
        return typeof count === "number" && count <= CONTENT_LIMIT ? Array.from({ length: count }, () => fill) : void 0;
      }
      case "Where": {
        const [yes, no] = [this.#contentsOf(1), this.#contentsOf(2)];
        if (!first || !yes || !no) return void 0;
        return zip(
          zip(first, yes, (c, y) => c === 0 ? 0 : c && y || null),
          zip(first, no, (c, n) => c === 0 ? n : 0),
          (a, b) => a === 0 ? b : a
        );
      }
      case "Equal":
        return this.#combine(
          (a, b) => a === null || b === null ? null : a === b ? 1 : typeof a === typeof b || isNegative(a) || isNegative(b) ? 0 : null
        );
      case "Add":
        return this.#combine((a, b) => addDims(a, b));
      case "Sub":
        return this.#combine((a, b) => addDims(a, b, -1));
      case "Mul":
        return this.#combine((a, b) => multiplyDims([a, b]));
      case "Div":
        return this.#combine(
          (a, b) => typeof a === "number" && typeof b === "number" && b !== 0 ? Math.trunc(a / b) : b === 1 ? a : null
        );
      default:
        return void 0;
    }
  }
  #combine(merge) {
    const [a, b] = [this.#contentsOf(0), this.#contentsOf(1)];
    return a && b && zip(a, b, merge);
  }
  shape() {
    const node = this.#node;
    const first = this.#shapeOf(0);
    const second = this.#shapeOf(1);
    const { opType } = node;
    if (UNARY.has(opType)) return first;
    if (BINARY.has(opType)) {
      const shapes = node.inputs.map((_, i) => this.#shapeOf(i));
      return shapes.every((shape) => shape !== void 0) ? shapes.reduce(broadcast) : void 0;
    }
    switch (opType) {
      case "MatMul":
        if (!first || !second || first.length < 2 || second.length < 2) return void 0;
        return [...broadcast(first.slice(0, -2), second.slice(0, -2)), first.at(-2), second.at(-1)];
      case "Gemm":
        if (first?.length !== 2 || second?.length !== 2) return void 0;
        return [first[node.int("transA") ? 1 : 0], second[node.int("transB") ? 0 : 1]];
      case "Transpose": {
        const perm = node.ints("perm") ?? first?.map((_, i) => first.length - 1 - i);
        return first && perm?.map((axis) => first[axis] ?? null);
      }
      case "Reshape":
        return this.#reshaped(first);
      case "Expand": {
        const wanted = this.#contentsOf(1);
        return first && wanted && broadcast(first, wanted);
      }
      case "ConstantOfShape":
        return this.#contentsOf(0);
      case "Range": {
        const [start, limit, delta] = [0, 1, 2].map((i) => this.#contentsOf(i)?.[0]);
        return start === 0 && delta === 1 && limit !== void 0 ? [limit] : void 0;
      }
      case "Gather": {
        const axis = node.int("axis", 0);
        if (!first || !second) return void 0;
        const at = axis < 0 ? axis + first.length : axis;
        return [...first.slice(0, at), ...second, ...first.slice(at + 1)];
      }
      case "Concat":
        return this.#concatenated();
      case "Unsqueeze": {
        const axes = this.#integers(1, "axes");
        return first && axes && inserted(first, axes);
      }
      case "Squeeze": {
        const axes = this.#integers(1, "axes")?.map((axis) => axis + (axis < 0 ? first?.length ?? 0 : 0));
        return axes && first?.filter((_, i) => !axes.includes(i));
      }
      case "Slice":
        return this.#sliced(first);
      case "Split":
        return this.#split(first);
      case "Conv":
      case "MaxPool":
      case "AveragePool":
        return first && [first[0], ...first.slice(1).map(() => null)];
      default:
        return opType.startsWith("Reduce") ? this.#reduced(first) : void 0;
    }
  }
  #reshaped(from) {
    const wanted = this.#contentsOf(1);
    if (!wanted) return void 0;
    const zeros = !this.#node.int("allowzero");
    const shape = wanted.map((dim, i) => dim === 0 && zeros ? from?.[i] ?? null : dim);
    const at = shape.indexOf(-1);
    return at < 0 ? shape : shape.with(at, from ? divideDims(from, shape.toSpliced(at, 1)) : null);
  }
  #concatenated() {
    const shapes = this.#node.inputs.map((_, i) => this.#shapeOf(i));
    const rank = shapes[0]?.length ?? 0;
    if (!shapes.every((shape) => shape?.length === rank)) return void 0;
    const axis = this.#node.int("axis", 0);
    const at = axis < 0 ? axis + rank : axis;
    return Array.from({ length: rank }, (_, i) => {
      const dims = shapes.map((shape) => shape[i]);
      if (i !== at) return dims.find((dim) => typeof dim === "number") ?? dims.find((dim) => dim !== null) ?? null;
      return dims.reduce((a, b) => addDims(a, b));
    });
  }
  #sliced(from) {
    if (!from) return void 0;
    const starts = this.#node.ints("starts") ?? this.#contentsOf(1);
    const ends = this.#node.ints("ends") ?? this.#contentsOf(2);
    const isGiven = this.#node.input(3) !== void 0 || this.#node.attributes.has("axes");
    const axes = isGiven ? this.#integers(3, "axes") : starts?.map((_, i) => i);
    const steps = this.#node.input(4) ? this.#integers(4, "steps") : starts?.map(() => 1);
    if (!axes || !steps) return void 0;
    const shape = [...from];
    for (const [i, axis] of axes.entries()) {
      const at = axis < 0 ? axis + from.length : axis;
      shape[at] = steps[i] === 1 ? sliceLength(from[at] ?? null, starts?.[i] ?? null, ends?.[i] ?? null) : null;
    }
    return shape;
  }
  #split(from) {
    const axis = this.#node.int("axis", 0);
    const at = from && axis < 0 ? axis + from.length : axis;
    const size = from?.[at];
    const isEven = !this.#node.input(1) && !this.#node.attributes.has("split");
    const parts = this.#node.outputs.length;
    return from?.with(at, isEven && typeof size === "number" && size % parts === 0 ? size / parts : null);
  }
  #reduced(from) {
    const isGiven = this.#node.input(1) !== void 0 || this.#node.attributes.has("axes");
    if (!isGiven) return void 0;
    const axes = this.#integers(1, "axes")?.map((axis) => axis + (axis < 0 ? from?.length ?? 0 : 0));
    if (!axes || !from) return void 0;
    const keeps = this.#node.int("keepdims", 1) !== 0;
    return keeps ? from.map((dim, i) => axes.includes(i) ? 1 : dim) : from.filter((_, i) => !axes.includes(i));
  }
};
var isNegative = (dim) => typeof dim === "number" && dim < 0;
function zip(a, b, merge) {
  if (!a || !b || a.length !== b.length && a.length !== 1 && b.length !== 1) return void 0;
  const at = (list, i) => list[list.length === 1 ? 0 : i] ?? null;
  return Array.from({ length: Math.max(a.length, b.length) }, (_, i) => merge(at(a, i), at(b, i)));
}
function inserted(shape, axes) {
  const rank = shape.length + axes.length;
  const places = new Set(axes.map((axis) => axis < 0 ? axis + rank : axis));
  const rest = [...shape];
  return Array.from({ length: rank }, (_, i) => places.has(i) ? 1 : rest.shift() ?? null);
}

// src/graph/unshadow.ts
var CONTROL_FLOW = /* @__PURE__ */ new Set(["If", "Loop", "Scan"]);
function unshadow(model) {
  for (const node of model.graph.nodes())
    for (const body of node.subgraphs) if (CONTROL_FLOW.has(node.opType)) visit2(body, new Set(namesIn(model.graph)));
}
function visit2(graph, outer) {
  for (const value of valuesIn(graph)) if (outer.has(value.name)) value.name = graph.model.names.fresh(value.name);
  const names = /* @__PURE__ */ new Set([...outer, ...namesIn(graph)]);
  for (const node of graph.nodes())
    for (const body of node.subgraphs) if (CONTROL_FLOW.has(node.opType)) visit2(body, names);
}
function* valuesIn(graph) {
  yield* graph.inputs;
  for (const value of graph.initializers) if (!value.isInput) yield value;
  for (const node of graph.nodes()) for (const value of node.outputs) if (value) yield value;
}
function* namesIn(graph) {
  for (const { name } of valuesIn(graph)) yield name;
}

// src/graph/export.ts
function modelToProto(model, place = () => void 0) {
  unshadow(model);
  const { opsetProtos, ...extra } = model.extra;
  const proto = { ...extra };
  if (model.irVersion) proto.irVersion = model.irVersion;
  proto.opsetImport = [...model.opsets].map(([domain, version]) => {
    const original = opsetProtos?.get(domain);
    return Number(original?.version) === version ? original : { domain, version };
  });
  if (model.metadata.size) proto.metadataProps = [...model.metadata].map(([key, value]) => ({ key, value }));
  proto.graph = graphToProto(model.graph, place);
  if (model.functions.length)
    proto.functions = model.functions.map((fn) => {
      const { node, valueInfo } = graphToProto(fn.graph, place);
      return {
        ...fn.extra,
        name: fn.name,
        input: fn.graph.inputs.map(({ name }) => name),
        output: fn.graph.outputs.map(({ name }) => name),
        attribute: fn.attributes,
        attributeProto: fn.defaults,
        ...node ? { node } : {},
        ...valueInfo ? { valueInfo } : {},
        opsetImport: [...fn.opsets].map(([domain, version]) => ({ domain, version })),
        domain: fn.domain,
        ...fn.overload ? { overload: fn.overload } : {}
      };
    });
  return proto;
}
function graphToProto(graph, place) {
  graph.sort();
  const { strayInfos, ...extra } = graph.extra ?? {};
  const proto = { ...extra };
  if (graph.name) proto.name = graph.name;
  proto.node = [...graph.nodes()].map((node) => nodeToProto(node, place));
  proto.input = graph.inputs.map(infoToProto);
  proto.output = graph.outputs.map(infoToProto);
  const initializers = [...graph.initializers];
  proto.initializer = initializers.filter(({ tensor }) => tensor).map(({ tensor, name }) => place(tensor, name) ?? tensor.toProto(name));
  proto.sparseInitializer = initializers.filter(({ sparse }) => sparse).map(({ sparse }) => sparse);
  proto.valueInfo = [...graph.declared].filter((value) => !value.isOutput).map(infoToProto);
  if (strayInfos) proto.valueInfo.push(...strayInfos);
  return proto;
}
function infoToProto(value) {
  const { typeProto, ...extra } = value.extra ?? {};
  const proto = { name: value.name, ...extra };
  const type = typeProto ?? (value.type && typeToProto(value.type));
  if (type) proto.type = type;
  return proto;
}
function nodeToProto(node, place) {
  const { attributeProtos, ...extra } = node.extra ?? {};
  const proto = { ...extra, opType: node.opType };
  if (node.name) proto.name = node.name;
  if (node.domain) proto.domain = node.domain;
  proto.input = node.inputs.map((value) => value?.name ?? "");
  proto.output = node.outputs.map((value) => value?.name ?? "");
  proto.attribute = [...node.attributes].map(
    ([name, value]) => attributeToProto(name, value, attributeProtos?.get(value), place)
  );
  return proto;
}
function attributeToProto(name, attribute, original, place) {
  const hasGraph = attribute.kind === "graph" || attribute.kind === "graphs";
  if (original && !hasGraph && original.name === name) return original;
  const bytesOf2 = (text) => typeof text === "string" ? new TextEncoder().encode(text) : text;
  if (attribute.kind === "reference") return { name, refAttrName: attribute.value, type: attribute.type };
  const proto = { name, type: ATTRIBUTE_CODES[attribute.kind] };
  if (original && !Object.hasOwn(original, "type")) delete proto.type;
  if (original?.docString) proto.docString = original.docString;
  switch (attribute.kind) {
    case "float":
      return { ...proto, f: attribute.value };
    case "int":
      return { ...proto, i: attribute.value };
    case "string":
      return { ...proto, s: bytesOf2(attribute.value) };
    case "tensor":
      return { ...proto, t: attribute.value.toProto(original?.t?.name ?? "") };
    case "graph":
      return { ...proto, g: graphToProto(attribute.value, place) };
    case "sparse_tensor":
      return { ...proto, sparseTensor: attribute.value };
    case "type_proto":
      return { ...proto, tp: attribute.value };
    case "floats":
      return { ...proto, floats: [...attribute.value] };
    case "ints":
      return { ...proto, ints: [...attribute.value] };
    case "strings":
      return { ...proto, strings: attribute.value.map(bytesOf2) };
    case "tensors":
      return { ...proto, tensors: attribute.value.map((tensor) => tensor.toProto("")) };
    case "graphs":
      return { ...proto, graphs: attribute.value.map((graph) => graphToProto(graph, place)) };
    case "sparse_tensors":
      return { ...proto, sparseTensors: [...attribute.value] };
    case "type_protos":
      return { ...proto, typeProtos: [...attribute.value] };
  }
}

// src/onnx/encode.ts
function encodeModel(model) {
  const writer = new SegmentWriter();
  try {
    messageType("ModelProto").encode(model, writer);
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw tooLarge(cause);
  }
  if (writer.total > 2147483647) throw tooLarge();
  return { length: writer.total, segments: () => writer.segments() };
}
function tooLarge(cause) {
  return new OnnxError("MODEL_TOO_LARGE", "the model is larger than 2 GiB, the limit of one ONNX file", {
    hint: "Write it with external data.",
    cause
  });
}
function encodeToBytes(model) {
  const encoded = encodeModel(model);
  const out = new Uint8Array(encoded.length);
  let at = 0;
  for (const segment of encoded.segments()) {
    if (segment instanceof Uint8Array) out.set(segment, at);
    else segment.read(out.subarray(at, at + segment.length));
    at += segment.length;
  }
  return out;
}
var CHUNK = 1 << 22;

// src/ort/load.ts
var loaded;
function loadOrt() {
  loaded ??= import("onnxruntime-node").then(
    (module) => {
      const ort = module.default ?? module;
      ort.env.logLevel = "error";
      return ort;
    },
    (cause) => {
      loaded = void 0;
      throw new OnnxError("ORT_MISSING", `onnxruntime-node can't be loaded: ${cause.message}`, {
        hint: 'Install it (npm i onnxruntime-node). If its install script needs the network, see "allowScripts" in the README.',
        cause
      });
    }
  );
  return loaded;
}

// src/ort/tensors.ts
var ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
  int4: Uint8Array,
  uint4: Uint8Array
};
async function toOrt(tensor) {
  const ort = await loadOrt();
  const { dtype } = tensor;
  if (dtype === "string") return new ort.Tensor("string", tensor.toStrings(), tensor.dims);
  const ArrayType = dtype && ARRAYS[dtype];
  if (!ArrayType) throw new Error(`onnxruntime-node takes no ${dtype} tensors`);
  let bytes = tensor.bytes();
  if (bytes.byteOffset % ArrayType.BYTES_PER_ELEMENT || bytes.buffer instanceof SharedArrayBuffer)
    bytes = new Uint8Array(bytes);
  const data = new ArrayType(bytes.buffer, bytes.byteOffset, bytes.length / ArrayType.BYTES_PER_ELEMENT);
  return new ort.Tensor(dtype, data, tensor.dims);
}
function fromOrt(result) {
  if (result.type === "string") return Tensor.strings(result.dims, result.data);
  const { buffer, byteOffset, byteLength } = result.data;
  return Tensor.of(result.type, result.dims, new Uint8Array(buffer, byteOffset, byteLength));
}

// src/ort/session.ts
async function openSession(model, options = {}) {
  const ort = await loadOrt();
  const settings = { graphOptimizationLevel: "disabled", logSeverityLevel: 4, ...options };
  let raw;
  try {
    raw = await (typeof model === "string" ? ort.InferenceSession.create(model, settings) : ort.InferenceSession.create(model, settings));
  } catch (cause) {
    throw new OnnxError("ORT_REFUSED", `ONNX Runtime can't load the model: ${cause.message}`, { cause });
  }
  return {
    raw,
    inputs: raw.inputMetadata,
    outputs: raw.outputMetadata,
    async run(feeds, wanted) {
      const given = {};
      for (const [name, tensor] of Object.entries(feeds)) given[name] = await toOrt(tensor);
      let results;
      try {
        results = await (wanted ? raw.run(given, wanted) : raw.run(given));
      } catch (cause) {
        throw new OnnxError("ORT_RUN_FAILED", `ONNX Runtime failed to run the model: ${cause.message}`, {
          cause
        });
      }
      const outputs = {};
      for (const [name, value] of Object.entries(results)) if ("dims" in value) outputs[name] = fromOrt(value);
      return outputs;
    },
    release: () => raw.release()
  };
}

// src/ort/typing.ts
var DESCRIBE_FROM = 1024;
async function inferTypes(model) {
  const unknown = /* @__PURE__ */ new Set();
  const proto = modelToProto(model);
  await inferGraph(model.graph, proto, proto.graph, unknown);
  return { unknown: [...unknown].sort() };
}
async function inferGraph(graph, model, wire, unknown) {
  const skipped = /* @__PURE__ */ new Set();
  for (let attempt = 0; attempt < 50; attempt++) {
    const skeleton = skeletonOf(graph, wire, skipped);
    if (!skeleton) break;
    const bytes = encodeToBytes({ ...model, graph: skeleton.graph, metadataProps: [], trainingInfo: [] });
    try {
      const session = await openSession(bytes, { intraOpNumThreads: 1, interOpNumThreads: 1 });
      const ambiguous = [];
      for (const output of session.outputs) {
        const value = skeleton.outputs.get(output.name);
        if (!value || !output.isTensor) continue;
        value.type = typeOf(value, output.type, output.shape);
        if (!value.shape) ambiguous.push(value);
      }
      await session.release();
      await findScalars(ambiguous, skeleton.graph, model);
      break;
    } catch (error) {
      if (!(error instanceof OnnxError) || !skip(graph, error.message, skipped, unknown)) break;
    }
  }
  for (const node of graph.nodes()) {
    const graphs = node.subgraphs;
    if (!graphs.length) continue;
    bindBodyInputs(node);
    const bodies = wire.node.find(({ output }) => output?.[0] === node.outputs[0]?.name);
    for (const [i, body] of graphs.entries()) {
      const bodyWire = bodies?.attribute?.flatMap(({ g, graphs: list }) => [...g ? [g] : [], ...list ?? []])[i];
      if (bodyWire) await inferGraph(body, model, bodyWire, unknown);
    }
  }
}
async function findScalars(values, graph, model) {
  for (const value of values) {
    const tensor = value.producer?.is("Constant") ? value.constant : void 0;
    if (tensor) value.type = { kind: "tensor", dtype: tensor.dtype, shape: tensor.dims };
  }
  const rest = values.filter((value) => !value.shape);
  if (!rest.length) return;
  const probes = rest.map((_, i) => `rank_probe_${i}`);
  const node = [
    ...graph.node,
    ...rest.map(({ name }, i) => ({ opType: "Shape", input: [name], output: [probes[i]] }))
  ];
  const bytes = encodeToBytes({
    ...model,
    graph: { ...graph, node, output: probes.map((name) => ({ name })) },
    metadataProps: []
  });
  const session = await openSession(bytes, { intraOpNumThreads: 1, interOpNumThreads: 1 });
  for (const [i, output] of session.outputs.entries())
    if (output.isTensor && output.shape[0] === 0) rest[i].type = { kind: "tensor", dtype: rest[i].dtype, shape: [] };
  await session.release();
}
function typeOf(value, dtype, shape) {
  const dims = shape.map((dim) => typeof dim === "number" ? dim < 0 ? null : dim : dim || null);
  const known = value.shape;
  if (dims.length === 0 && known?.length !== 0) return { kind: "tensor", dtype, shape: known };
  if (known?.length === dims.length) return { kind: "tensor", dtype, shape: dims.map((dim, i) => dim ?? known[i]) };
  return { kind: "tensor", dtype, shape: dims };
}
function skeletonOf(graph, wire, skipped) {
  const inputs = /* @__PURE__ */ new Map();
  const initializer = [];
  const available = /* @__PURE__ */ new Set();
  const outputs = /* @__PURE__ */ new Map();
  const offer = (value) => {
    if (available.has(value)) return true;
    const type = value.tensor ? { kind: "tensor", dtype: value.tensor.dtype, shape: value.tensor.dims } : value.type;
    if (!type || type.kind === "tensor" && !type.dtype) return false;
    inputs.set(value.name, { name: value.name, type: typeToProto(type) });
    available.add(value);
    return true;
  };
  graph.inputs.forEach(offer);
  for (const value of graph.initializers) {
    if (!value.tensor || value.tensor.byteLength >= DESCRIBE_FROM || value.sparse) offer(value);
    else {
      initializer.push(value.tensor.toProto(value.name));
      available.add(value);
    }
  }
  const wires = new Map((wire.node ?? []).map((node2) => [node2.output?.find(Boolean) ?? "", node2]));
  const node = [];
  for (const at of graph.nodes()) {
    const large = at.constantTensor !== void 0 && at.is("Constant") && (at.constantTensor()?.byteLength ?? 0) >= DESCRIBE_FROM;
    const own = large ? constantType(at) : void 0;
    if (own) {
      inputs.set(at.output().name, { name: at.output().name, type: typeToProto(own) });
      at.output().type = own;
      available.add(at.output());
      continue;
    }
    const readable = (value) => !value || available.has(value) || value.graph !== graph && offer(value);
    const captured = capturesOf(at);
    const proto = wires.get(at.outputs.find(Boolean)?.name ?? "");
    if (!proto || skipped.has(at) || !at.inputs.every(readable) || !captured.every(readable)) {
      for (const value of at.outputs) if (value) offer(value);
      continue;
    }
    node.push(proto);
    for (const value of at.outputs) {
      if (!value) continue;
      available.add(value);
      outputs.set(value.name, value);
    }
  }
  if (!outputs.size) return void 0;
  return {
    graph: {
      name: "types",
      node,
      initializer,
      input: [...inputs.values()],
      output: [...outputs.keys()].map((name) => ({ name }))
    },
    outputs
  };
}
function constantType(node) {
  const tensor = node.constantTensor();
  return tensor && { kind: "tensor", dtype: tensor.dtype, shape: tensor.dims };
}
function capturesOf(node) {
  const inside = new Set(node.subgraphs.flatMap((graph) => [...graph.allGraphs()]));
  const captured = /* @__PURE__ */ new Set();
  for (const graph of inside) {
    for (const inner of graph.nodes())
      for (const value of inner.inputs) if (value && !inside.has(value.graph)) captured.add(value);
    for (const value of graph.outputs) if (!inside.has(value.graph)) captured.add(value);
  }
  return [...captured];
}
function skip(graph, message, skipped, unknown) {
  const before = skipped.size;
  const named = /node (?:with name )?[('"]+([^'")]+)/i.exec(message)?.[1];
  const operator = /implementation for ([\w.]+:)?(\w+)\(/.exec(message)?.[2] ?? /(?:No Op registered for|Fatal error:) ([\w.]*:)?(\w+)/.exec(message)?.[2] ?? /([\w.]+:)?(\w+)\(-?\d+\) is not a registered/.exec(message)?.[2];
  for (const node of graph.allNodes()) {
    if (node.opType !== operator && (operator || !named || node.name !== named)) continue;
    unknown.add(node.qualifiedType);
    let top = node;
    while (top.graph !== graph && top.graph.owner) top = top.graph.owner;
    skipped.add(top);
  }
  return skipped.size > before;
}
function bindBodyInputs(node) {
  for (const body of node.subgraphs) {
    const give = (index, type) => {
      const input = body.inputs[index];
      if (input && type && (!input.type || input.type.kind === "tensor" && !input.type.dtype)) input.type = type;
    };
    if (node.is("Loop")) {
      give(0, { kind: "tensor", dtype: "int64", shape: [] });
      give(1, { kind: "tensor", dtype: "bool", shape: [] });
      for (let i = 2; i < node.inputCount; i++) {
        const type = node.input(i)?.type;
        give(i, type?.kind === "tensor" ? { kind: "tensor", dtype: type.dtype } : type);
      }
    } else if (node.is("Scan")) {
      for (let i = 0; i < node.inputCount; i++) {
        const dtype = node.input(i)?.dtype;
        if (dtype) give(i, { kind: "tensor", dtype });
      }
    }
  }
}

// .scratch/shapes.ts
for (const f of process.argv.slice(2)) {
  const m = readModel("/work/shared/models/own/" + f + ".onnx");
  const t = performance.now();
  const r = await inferTypes(m);
  const t2 = performance.now();
  propagateShapes(m);
  console.log("prop", (performance.now() - t2).toFixed(1));
  console.log(f, m.graph.nodeCount, (performance.now() - t).toFixed(0) + "ms", r.unknown);
  let n = 0;
  for (const node of m.graph.nodes()) if (node.is("Add") && n++ < 12) console.log("  ", node.name, node.inputs.map((v) => JSON.stringify(v.shape) + (v.tensor || v.constant ? "c" : "")).join(" + "), "->", JSON.stringify(node.output().shape));
}
