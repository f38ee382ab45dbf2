// Calls shop.v1.Customers by gRPC-Web: node client.cjs FORMAT URL TOKEN DESCRIPTORS. FORMAT is `connect` (Connect's library, over
// fetch), `binary` or `text` (grpc-web, over XMLHttpRequest); DESCRIPTORS a FileDescriptorSet in Base64. What came is printed as JSON.
'use strict';

const { create, createFileRegistry, fromBinary, toBinary } = require('@bufbuild/protobuf');
const { FileDescriptorSetSchema } = require('@bufbuild/protobuf/wkt');

const [format, url, token, descriptors] = process.argv.slice(2);
const types = createFileRegistry(fromBinary(FileDescriptorSetSchema, Buffer.from(descriptors, 'base64')));
const customers = types.getService('shop.v1.Customers');
const headers = token ? { 'hoop-token': token } : {};

/** `get` and `list`, each with what it gives or how it fails. */
function byConnect() {
  const { Code, createClient } = require('@connectrpc/connect');
  const { createGrpcWebTransport } = require('@connectrpc/connect-web');
  const client = createClient(customers, createGrpcWebTransport({ baseUrl: url }));
  const failed = ({ code, rawMessage }) => ({ code, message: rawMessage, name: Code[code] });
  return {
    get: (request) => client.get(request, { headers }).catch((error) => ({ failed: failed(error) })),
    list: async (request) => {
      const all = [];
      try {
        for await (const customer of client.list(request, { headers })) all.push(customer);
      } catch (error) {
        all.push({ failed: failed(error) });
      }
      return all;
    },
  };
}

function byGrpcWeb() {
  globalThis.XMLHttpRequest = require('xhr2');
  const { GrpcWebClientBase, MethodDescriptor, MethodType } = require('grpc-web');
  const client = new GrpcWebClientBase({ format });
  const method = (name, kind) => {
    const { input, output } = customers.method[name];
    const write = (request) => toBinary(input, create(input, request));
    return new MethodDescriptor(`/shop.v1.Customers/${name[0].toUpperCase()}${name.slice(1)}`, kind, Object, Object, write, (bytes) => fromBinary(output, bytes));
  };
  const [get, list] = [method('get', MethodType.UNARY), method('list', MethodType.SERVER_STREAMING)];
  const failed = ({ code, message }) => ({ failed: { code, message } });
  return {
    get: (request) => new Promise((resolve) => {
      client.rpcCall(url + get.getName(), request, headers, get, (error, customer) => resolve(error ? failed(error) : customer));
    }),
    list: (request) => new Promise((resolve) => {
      const all = [];
      const stream = client.serverStreaming(url + list.getName(), request, headers, list);
      stream.on('data', (customer) => all.push(customer));
      stream.on('error', (error) => resolve([...all, failed(error)]));
      stream.on('end', () => resolve(all));
    }),
  };
}

async function main() {
  const client = format === 'connect' ? byConnect() : byGrpcWeb();
  const told = {
    ada: await client.get({ id: 1 }),
    nobody: await client.get({ id: 9 }),
    all: await client.list({ name: 'a' }),
  };
  const shown = JSON.stringify(told, (name, value) => (name.startsWith('$') ? undefined : value));
  process.stdout.write(shown);
}

main().catch((error) => {
  process.exitCode = 1;
  process.stderr.write(`${error.stack}\n`);
});
