/* SPDX-License-Identifier: GPL-2.0-or-later */

import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;

/** Answers every request with how many there were before it; a pool of threads, and garbage to collect. */
public class Server {
	public static void main(String[] args) throws Exception {
		AtomicLong count = new AtomicLong();
		HttpServer server = HttpServer.create(new InetSocketAddress(8080), 64);
		server.setExecutor(Executors.newFixedThreadPool(4));
		server.createContext("/", exchange -> {
			byte[] garbage = new byte[1 << 16];
			byte[] body = String.format("%020d\n", count.getAndIncrement() + garbage[0]).getBytes();
			exchange.sendResponseHeaders(200, body.length);
			exchange.getResponseBody().write(body);
			exchange.close();
		});
		server.start();
	}
}
