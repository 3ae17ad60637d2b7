// Runs the clients that live on Node for the Python side. One JSON object per line: {id, op, …} comes in,
// {id, value} or {id, error} goes out, and {client, event, …} whenever a client has something to say.
// Payloads are base64.

import { createInterface } from 'node:readline';

import { Client as StompClient, ReconnectionTimeMode } from '@stomp/stompjs';
import { TCPWrapper } from '@stomp/tcp-wrapper';
import coap from 'coap';
import mqtt from 'mqtt';

process.env.npm_lifecycle_event = 'test'; // coap-node then asks no network interface for its address
const { default: CoapNode } = await import('coap-node');
const { default: SmartObject } = await import('smartobject');

const clients = new Map();

const operations = {
  async 'mqtt.connect'({ client, version, where, ca }) {
    const connection = await mqtt.connectAsync({
      ...where, ca, protocolVersion: version, clientId: client, reconnectPeriod: 0,
    });
    connection.on('message', (topic, payload, packet) => say(client, 'message', {
      topic, payload: payload.toString('base64'), retain: packet.retain, qos: packet.qos,
      contentType: packet.properties?.contentType,
    }));
    connection.on('error', (error) => say(client, 'error', { text: String(error) }));
    clients.set(client, connection);
  },

  // What the server says in an exchange of AUTH is told as an event; `mqtt.answer` is the client's next word.
  'mqtt.authenticate': ({ client, where, method, data }) => {
    const connection = mqtt.connect({
      ...where, protocolVersion: 5, clientId: client, reconnectPeriod: 0,
      properties: { authenticationMethod: method, authenticationData: Buffer.from(data, 'base64') },
    });
    const tell = (packet) => say(client, packet.cmd, {
      code: packet.reasonCode, data: packet.properties?.authenticationData?.toString('base64'),
    });
    connection.handleAuth = (packet, answer) => {
      tell(packet);
      if (packet.reasonCode === 0) return answer();
      connection.answer = (said) => answer(null, auth(0x18, method, said));
    };
    connection.on('connect', tell);
    connection.on('disconnect', tell);
    connection.on('error', (error) => say(client, 'error', { code: error.code, text: String(error) }));
    connection.on('close', () => say(client, 'close'));
    clients.set(client, connection);
  },

  'mqtt.answer': ({ client, data }) => clients.get(client).answer(data),

  'mqtt.authenticate again': ({ client, method, data }) => {
    clients.get(client)._sendPacket(auth(0x19, method, data));
  },

  async 'mqtt.subscribe'({ client, topic, qos }) {
    const granted = await clients.get(client).subscribeAsync(topic, { qos });
    return granted.map((grant) => grant.qos);
  },

  async 'mqtt.publish'({ client, topic, payload, qos, retain, contentType }) {
    const properties = contentType ? { contentType } : undefined;
    await clients.get(client).publishAsync(topic, Buffer.from(payload, 'base64'), { qos, retain, properties });
  },

  async 'mqtt.close'({ client }) {
    await clients.get(client).endAsync();
    clients.delete(client);
  },

  'stomp.connect': ({ client, port }) => new Promise((resolve, reject) => {
    const connection = new StompClient({
      webSocketFactory: () => new TCPWrapper('127.0.0.1', port),
      connectHeaders: { host: '127.0.0.1' },
      reconnectDelay: 0,
      reconnectTimeMode: ReconnectionTimeMode.LINEAR,
      forceBinaryWSFrames: true,
      appendMissingNULLonIncoming: false,
      onConnect: () => resolve(connection.connectedVersion),
      onStompError: (frame) => {
        reject(new Error(frame.headers.message));
        say(client, 'error', { text: frame.headers.message });
      },
      onWebSocketError: (error) => reject(new Error(String(error.message))),
      onWebSocketClose: () => reject(new Error('closed')),
    });
    clients.set(client, connection);
    connection.activate();
  }),

  'stomp.subscribe': ({ client, topic }) => new Promise((resolve) => {
    const connection = clients.get(client);
    const receipt = `subscribed-${topic}`;
    connection.watchForReceipt(receipt, () => resolve());
    const seen = (message) => say(client, 'message', {
      topic: message.headers.destination, payload: Buffer.from(message.binaryBody).toString('base64'),
      contentType: message.headers['content-type'], headers: message.headers,
    });
    connection.subscribe(topic, seen, { receipt });
  }),

  'stomp.publish': ({ client, topic, payload, retain, contentType }) => new Promise((resolve) => {
    const connection = clients.get(client);
    const receipt = `published-${topic}`;
    connection.watchForReceipt(receipt, () => resolve());
    const headers = { receipt };
    if (contentType) headers['content-type'] = contentType;
    if (retain) headers.retain = 'true';
    connection.publish({ destination: topic, binaryBody: Buffer.from(payload, 'base64'), headers });
  }),

  async 'stomp.close'({ client }) {
    await clients.get(client).deactivate();
    clients.delete(client);
  },

  // With an exponent the payload goes in blocks of 16 << exponent bytes, and the answer is asked for in such.
  'coap.request': ({ port, method, path, query, payload, exponent }) => new Promise((resolve, reject) => {
    const request = coap.request({ host: '127.0.0.1', port, method, pathname: path, query, confirmable: true });
    const option = payload ? 'Block1' : 'Block2';
    if (exponent !== undefined) request.setOption(option, Buffer.of(exponent));
    request.on('response', ({ code, payload: body }) => resolve({ code, payload: body.toString('base64') }));
    request.on('error', reject);
    request.end(payload ? Buffer.from(payload, 'base64') : undefined);
  }),

  'lwm2m.register': ({ client, port }) => new Promise((resolve, reject) => {
    const objects = new SmartObject();
    objects.init(3303, 0, {
      5700: 21.5, 5701: 'Cel', 5750: '', 5605: { exec: (done) => done(null) },
    });
    const device = new CoapNode(client, objects, { lifetime: 300, version: '1.0', manuf: 'Confluence' });
    device.on('error', (error) => say(client, 'error', { text: String(error) }));
    clients.set(client, device);
    device.register('127.0.0.1', port, (error, answer) => (error ? reject(error) : resolve(answer.status)));
  }),

  'lwm2m.set': ({ client, object, instance, resource, value }) => new Promise((resolve, reject) => {
    const written = (error, data) => (error ? reject(error) : resolve(data));
    clients.get(client).getSmartObject().write(object, instance, resource, value, written);
  }),

  'lwm2m.deregister': ({ client }) => new Promise((resolve, reject) => {
    const answered = (error, answer) => (error ? reject(error) : resolve(answer.status));
    clients.get(client).deregister(answered);
    clients.delete(client);
  }),
};

function auth(reasonCode, authenticationMethod, data) {
  const authenticationData = Buffer.from(data, 'base64');
  return { cmd: 'auth', reasonCode, properties: { authenticationMethod, authenticationData } };
}

function say(client, event, more) {
  process.stdout.write(`${JSON.stringify({ client, event, ...more })}\n`);
}

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, op, ...more } = JSON.parse(line);
  const answer = await Promise.resolve().then(() => operations[op](more)).then(
    (value) => ({ id, value: value ?? null }),
    (error) => ({ id, error: String(error?.message ?? error) }),
  );
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}).on('close', () => process.exit(0));
