#!/usr/bin/env node
import { assertNode } from './assert-node.mjs';

assertNode('orchestra');
await import('../dist/orchestra.mjs');
