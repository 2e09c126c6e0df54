#!/usr/bin/env node
import { assertNode } from './assert-node.mjs';

assertNode('orchestra-signer');
await import('../dist/orchestra-signer.mjs');
