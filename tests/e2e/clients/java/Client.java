// pgjdbc: `java Client PART URL` prints what it saw.

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.net.URI;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Statement;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.util.PSQLException;

public final class Client {
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    public static void main(String[] arguments) throws Exception {
        String part = arguments[0];
        for (String mode : new String[] {"extended", "simple", "extendedForPrepared"}) {
            try (Connection connection = connect(arguments[1], mode)) {
                OUT.println("== " + mode);
                if (part.equals("transcript")) transcript(connection);
                else masked(connection);
            }
        }
    }

    private static Connection connect(String text, String mode) throws SQLException {
        URI uri = URI.create(text);
        String[] login = uri.getRawUserInfo().split(":", 2);
        Properties properties = new Properties();
        properties.setProperty("user", URLDecoder.decode(login[0], StandardCharsets.UTF_8));
        properties.setProperty("password", URLDecoder.decode(login[1], StandardCharsets.UTF_8));
        properties.setProperty("preferQueryMode", mode);
        properties.setProperty("prepareThreshold", "3");
        properties.setProperty("sslmode", "disable");
        return DriverManager.getConnection("jdbc:postgresql://" + uri.getHost() + ":" + uri.getPort() + uri.getPath(), properties);
    }

    private static void transcript(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery("select * from zoo order by id")) {
            print(rows);
        }
        // Server-prepared and binary from the third time on.
        try (PreparedStatement statement = connection.prepareStatement("select * from zoo where id <> ? order by id")) {
            for (int i = 0; i < 5; i++) {
                statement.setInt(1, i);
                try (ResultSet rows = statement.executeQuery()) {
                    print(rows);
                }
            }
        }
        try (Statement statement = connection.createStatement()) {
            statement.execute("select * from wide");
            print(statement.getResultSet());
            boolean result = statement.execute("select 1; update plain set word = word where id < 4; select 'three'");
            while (result || statement.getUpdateCount() >= 0) {
                if (result) print(statement.getResultSet());
                else OUT.println("updated " + statement.getUpdateCount());
                result = statement.getMoreResults();
            }
            fail("division", () -> statement.execute("select 1/0"));
            fail("position", () -> statement.execute("select nothing_there from zoo"));
            fail("detail", () -> statement.execute("insert into plain values (1, 'again')"));
            statement.execute("select speak('words')");
            for (SQLWarning warning = statement.getWarnings(); warning != null; warning = warning.getNextWarning()) {
                OUT.println("warning " + warning.getSQLState() + " " + warning.getMessage());
            }
        }
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(10);
            int count = 0;
            try (ResultSet rows = statement.executeQuery("select id, word from plain order by id")) {
                while (rows.next()) count += rows.getInt(1);
            }
            OUT.println("fetched in portions " + count);
            fail("in a transaction", () -> statement.execute("select 1/0"));
            fail("aborted", () -> statement.execute("select 1"));
            connection.rollback();
            statement.execute("create temp table batch (id int primary key, word text) on commit drop");
            try (PreparedStatement insert = connection.prepareStatement("insert into batch values (?, ?)")) {
                for (int i = 0; i < 500; i++) {
                    insert.setInt(1, i);
                    insert.setString(2, "word " + i);
                    insert.addBatch();
                }
                OUT.println("batch " + Arrays.stream(insert.executeBatch()).sum());
            }
            var copy = connection.unwrap(PGConnection.class).getCopyAPI();
            var out = new ByteArrayOutputStream();
            OUT.println("copy out " + copy.copyOut("copy batch to stdout (format csv)", out) + " " + out.size() + " " + Arrays.hashCode(out.toByteArray()));
            statement.execute("truncate batch");
            OUT.println("copy in " + copy.copyIn("copy batch from stdin (format csv)", new ByteArrayInputStream(out.toByteArray())));
            connection.commit();
        }
        connection.setAutoCommit(true);
        try (Statement statement = connection.createStatement()) {
            statement.execute("listen channel");
            statement.execute("select pg_notify('channel', 'payload')");
            PGNotification[] notes = connection.unwrap(PGConnection.class).getNotifications(10_000);
            OUT.println("notification " + notes[0].getName() + " " + notes[0].getParameter());
            statement.setQueryTimeout(1);
            fail("timeout", () -> statement.execute("select pg_sleep(30)"));
            statement.setQueryTimeout(0);
            statement.execute("select 'goes on'");
            print(statement.getResultSet());
        }
        try (ResultSet columns = connection.getMetaData().getColumns(null, "public", "zoo", "%")) {
            print(columns);
        }
    }

    private static void masked(Connection connection) throws Exception {
        try (PreparedStatement statement = connection.prepareStatement("select email as a, card_number as b, ssn as c, notes from customers where id > ? order by id")) {
            for (int i = 0; i < 5; i++) {
                statement.setInt(1, 0);
                try (ResultSet rows = statement.executeQuery()) {
                    print(rows);
                }
            }
        }
        try (Statement statement = connection.createStatement()) {
            statement.execute("select loud(email) from customers");
            for (SQLWarning warning = statement.getWarnings(); warning != null; warning = warning.getNextWarning()) {
                OUT.println("warning " + warning.getMessage());
            }
            fail("detail", () -> statement.execute("insert into customers select 9, name, email, card_number from customers where id = 1"));
        }
        OUT.println("end");
    }

    private interface Call {
        void run() throws SQLException;
    }

    private static void fail(String label, Call call) {
        try {
            call.run();
            OUT.println(label + " no error");
        } catch (PSQLException error) {
            var fields = error.getServerErrorMessage();
            OUT.println(label + " " + error.getSQLState() + " " + (fields == null ? error.getMessage()
                : fields.getSeverity() + " " + fields.getMessage() + " " + fields.getDetail() + " " + fields.getHint() + " " + fields.getPosition()));
        } catch (SQLException error) {
            OUT.println(label + " " + error.getSQLState() + " " + error.getMessage());
        }
    }

    private static void print(ResultSet rows) throws SQLException {
        ResultSetMetaData columns = rows.getMetaData();
        StringBuilder line = new StringBuilder();
        for (int i = 1; i <= columns.getColumnCount(); i++) {
            line.append(columns.getColumnLabel(i)).append(':').append(columns.getColumnTypeName(i)).append(':').append(columns.isNullable(i)).append(' ');
        }
        OUT.println(line);
        while (rows.next()) {
            line.setLength(0);
            for (int i = 1; i <= columns.getColumnCount(); i++) {
                boolean binary = columns.getColumnTypeName(i).equals("bytea") && rows.getBytes(i) != null;
                String value = binary ? HexFormat.of().formatHex(rows.getBytes(i)) : rows.getString(i);
                line.append(value != null && value.length() > 200 ? value.length() + "#" + value.hashCode() : value).append('|');
            }
            OUT.println(line);
        }
    }
}
