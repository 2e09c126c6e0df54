#!/usr/bin/env node
import { assertNode } from './assert-node.mjs';

assertNode('orchestra-witness');
await import('../dist/orchestra-witness.mjs');
