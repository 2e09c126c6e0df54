import { z } from 'zod';
import { endpoints, Problem, type Endpoint } from '#contract/api.ts';

/** The endpoint table as OpenAPI 3.1, whose schemas are JSON Schema 2020-12: zod's own output. */
export function openApi(version: string): unknown {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const [name, row] of Object.entries(endpoints) as [string, Endpoint][]) {
    const path = row.path.replaceAll(/:(\w+)/g, '{$1}');
    (paths[path] ??= {})[row.method.toLowerCase()] = operation(name, row);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Orchestra',
      version,
      description:
        'Served on a unix socket, where the kernel says who calls, and, where the settings say so, over TLS with a token. Errors are application/problem+json (RFC 9457).',
    },
    paths,
    // None on the socket.
    security: [{}, { token: [] }],
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      schemas: { Problem: schema(Problem, 'output') },
    },
  };
}

function operation(name: string, row: Endpoint): unknown {
  return {
    operationId: name,
    summary: row.summary,
    parameters: [...pathParameters(row), ...queryParameters(row)],
    ...requestBody(row),
    responses: {
      '200': { description: 'Success', content: successContent(row) },
      default: {
        description: 'An error; `code` says which, `hint` what to do next',
        content: {
          'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } },
        },
      },
    },
  };
}

function pathParameters(row: Endpoint): unknown[] {
  return [...row.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }));
}

function queryParameters(row: Endpoint): unknown[] {
  return Object.entries(row.query?.shape ?? {}).map(([name, type]) => ({
    name,
    in: 'query',
    required: false,
    schema: schema(type as z.ZodType, 'output'),
  }));
}

function requestBody(row: Endpoint): Record<string, unknown> {
  if (row.body) {
    return {
      requestBody: { content: { 'application/json': { schema: schema(row.body, 'input') } } },
    };
  }
  return row.bodyType === undefined ? {} : { requestBody: { content: { [row.bodyType]: {} } } };
}

const types: Readonly<Record<Endpoint['answer'], string>> = {
  json: 'application/json',
  events: 'text/event-stream',
  ndjson: 'application/x-ndjson',
  bytes: 'application/octet-stream',
};

function successContent(row: Endpoint): unknown {
  return {
    [types[row.answer]]: row.response ? { schema: schema(row.response, 'output') } : {},
    ...(row.also === undefined ? {} : { [row.also]: {} }),
  };
}

function schema(type: z.ZodType, io: 'input' | 'output'): unknown {
  const { $schema: _, ...rest } = z.toJSONSchema(type, { io, unrepresentable: 'any' });
  return rest;
}
